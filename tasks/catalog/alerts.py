"""Failure alerts: people are told by e-mail that a critical task ended badly, once per task and window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any, Final

import msgspec

from domain.failure_alert import AlertSent, alert_stream
from domain.notice import alert_notice
from infra.event_store import Log, caused
from projections.queries import failures_in_last_window
from tasks.app import task as declare
from tasks.catalog.letter import compose
from tasks.catalog.reading import read_models
from tasks.catalog.sending import NEVER_BETTER, SOFT_LIMIT_SECONDS, Errand, Notice, send_once
from tasks.wiring import Wiring, wiring
from tasks.worker.policies import E_MAIL

NAME: Final = "send_failure_alert"
ERROR_CHARACTERS: Final = 500


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A bad end, as its policy tells of it.

    Attributes:
        task: name of the task.
        run_id: the run, the first one of its task to end badly in the window.
        ended: how it ended (``failed``, ``timed_out``, ``lost``, ``rejected``, ``dead_lettered``).
        error_type: class of the error, or the broker's reason.
        error: its text.
        worker: who had the run; None where no worker saw its end.
        failed_at: when it ended.
        window_start: beginning of the window.
        window_seconds: its length.
    """

    task: str
    run_id: str
    ended: str
    error_type: str
    error: str
    worker: str | None
    failed_at: datetime
    window_start: datetime
    window_seconds: float

    @property
    def stream(self) -> str:
        """Where it is recorded that it was sent."""
        return alert_stream(self.task, self.window_start)

    def to(self, recipient: str | None) -> Notice:
        """The same as a notice like any other."""
        return Notice(*alert_notice(self.stream), recipient)

    def letter_values(self, *, unannounced: int) -> dict[str, str]:
        """What goes into the letter."""
        told = {
            "task": self.task,
            "run_id": self.run_id,
            "ended": self.ended.replace("_", " "),
            "error_type": self.error_type,
            "error": self.error[:ERROR_CHARACTERS],
            "worker": self.worker or "none saw it end",
            "failed_at": f"{self.failed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            "window": f"{self.window_seconds / 60:g} minutes",
            "unannounced": _since_the_last(unannounced),
        }
        return {name: _line(value) for name, value in told.items()}


def send_alert(alert: Alert, errand: Errand) -> str:
    """Send the alert if it is still to be sent, and record that.

    Returns:
        ``sent``, or why there was nothing to send: ``no address`` is set any more, or ``sent before``.

    Raises:
        MailError: it did not go out.
        NoticeBusyError: somebody else has been sending it for too long.
    """
    wired = errand.wired
    to = wired.settings.alert_email
    if to is None:
        return "no address"
    if wired.store.load(Log.TASKS, [alert.stream]):
        return "sent before"
    notice, unannounced = alert.to(to), count_unannounced(alert, wired)

    def write() -> EmailMessage:
        values = alert.letter_values(unannounced=unannounced)
        return compose(notice.template, values, to=to, templates_dir=wired.settings.mail_templates_dir)

    outcome = send_once(notice, errand, write)
    _record(alert, errand, recipient=to, unannounced=unannounced)
    return outcome


def notice_of(kwargs: Mapping[str, Any], wired: Wiring) -> Notice:
    """The notice that a run with these arguments was to send."""
    return msgspec.convert(kwargs, Alert).to(wired.settings.alert_email)


def count_unannounced(alert: Alert, wired: Wiring) -> int:
    """How many runs of the task ended badly in the last window that had any, without an alert of their own."""
    window = timedelta(seconds=alert.window_seconds)
    with read_models(wired.engine) as connection:
        last = failures_in_last_window(connection, alert.task, before=alert.window_start, window=window)
    if last is None:
        return 0
    was_announced = bool(wired.store.load(Log.TASKS, [alert_stream(alert.task, last.window_start)]))
    return last.failures - was_announced


def _record(alert: Alert, errand: Errand, *, recipient: str, unannounced: int) -> None:
    sent = AlertSent(
        originator_id=alert.stream,
        originator_version=1,
        timestamp=errand.cause.at,
        task=alert.task,
        run_id=alert.run_id,
        recipient=recipient,
        window_start=alert.window_start,
        unannounced=unannounced,
    )
    errand.wired.store.append_each(Log.TASKS, caused([sent], errand.cause))  # the place may be taken: then it is said


def _since_the_last(unannounced: int) -> str:
    if not unannounced:
        return "No other run of it ended badly unannounced since the alert before this one."
    runs = "1 more run" if unannounced == 1 else f"{unannounced} more runs"
    return f"{runs} of it ended badly since the alert before this one, in that one's window."


def _line(text: str) -> str:
    """Text that cannot leave its line, whatever a task or an error is called."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@declare(NAME, bind=True, retry_policy=E_MAIL, no_retry_for=NEVER_BETTER, soft_time_limit=SOFT_LIMIT_SECONDS)
def send_failure_alert(self: Any, **told: Any) -> dict[str, str]:
    """Tell people that a run of a critical task ended badly; the arguments are an :class:`Alert`'s.

    Returns:
        ``outcome``: ``sent``, or why there was nothing to send.
    """
    return {"outcome": send_alert(msgspec.convert(told, Alert), Errand.of(self, wiring(), at=datetime.now(UTC)))}

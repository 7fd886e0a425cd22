"""People are told that a critical task ended badly, once, and of how many they were not told singly."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage
from uuid import uuid4

import pytest

from domain.cause import Cause
from domain.failure_alert import AlertSent
from domain.task_run import task_event
from infra.event_store import Log, caused
from infra.local.mailbox import Mailbox
from infra.mail import Mailer, MailUnavailableError
from tasks.app import app
from tasks.catalog import alerts
from tasks.catalog.alerts import Alert, send_alert, send_failure_alert
from tasks.catalog.sending import Errand
from tasks.wiring import Wiring
from tasks.worker.policies import E_MAIL
from tests.tasks.catalog.fleet import CAUSE, NOON, Fleet

WINDOW = timedelta(minutes=15)


@pytest.fixture
def task() -> str:
    return f"pay.{uuid4()}"


@pytest.fixture
def alerted(wired: Wiring) -> Wiring:
    """The wiring of a platform whose people want to be told."""
    made = Wiring(wired.settings.model_copy(update={"alert_email": "ops@example.org"}))
    made.__dict__.update(store=wired.store, engine=wired.engine)
    return made


def alert(task: str, *, windows: int = 0, error: str = "no money") -> Alert:
    return Alert(
        task=task,
        run_id=str(uuid4()),
        ended="timed_out",
        error_type="TimeLimitExceeded",
        error=error,
        worker=None,
        failed_at=NOON,
        window_start=NOON + windows * WINDOW,
        window_seconds=WINDOW.total_seconds(),
    )


def send(told: Alert, wired: Wiring) -> str:
    return send_alert(told, Errand(wired, Mailer.from_settings(wired.settings), CAUSE, str(CAUSE.id)))


def letters(mailbox: Mailbox, task: str) -> list[EmailMessage]:
    return [letter for letter in mailbox.letters() if task in letter["Subject"].replace("\n", "")]


def fail(fleet: Fleet, task: str, *, minutes: float) -> None:
    told = {"task": task, "attempt": 1, "error_type": "E", "error": "e", "critical": True}
    ended = task_event("task.failed", str(uuid4()), at=NOON + timedelta(minutes=minutes), data=told)
    fleet.store.append(Log.TASKS, caused([ended], Cause(id=uuid4(), at=NOON, actor="test")))


def test_the_alert_says_what_ended_how_and_how_to_look(alerted: Wiring, mailbox: Mailbox, task: str) -> None:
    told = alert(task, error="<b>no\nmoney</b>")
    assert send(told, alerted) == "sent"
    (letter,) = letters(mailbox, task)
    assert letter["To"] == "ops@example.org"
    assert "timed out: TimeLimitExceeded" in letter["Subject"]
    text, html = (part.get_content() for part in letter.iter_parts())  # type: ignore[attr-defined]
    assert "<b>no money</b>" in text
    assert f"ledgerq dlq show {told.run_id}" in text
    assert "one such alert per task and 15 minutes" in text
    assert "&lt;b&gt;no money&lt;/b&gt;" in html
    assert "<b>no" not in html


def test_the_same_alert_is_sent_once(alerted: Wiring, mailbox: Mailbox, task: str) -> None:
    assert [send(alert(task), alerted) for _ in range(3)] == ["sent", "sent before", "sent before"]
    assert len(letters(mailbox, task)) == 1


def test_what_was_sent_before_there_were_records_of_notices_is_not_sent_again(
    alerted: Wiring, mailbox: Mailbox, task: str
) -> None:
    told = alert(task)
    sent = AlertSent(
        originator_id=told.stream,
        originator_version=1,
        timestamp=NOON,
        task=task,
        run_id=told.run_id,
        recipient="ops@example.org",
        window_start=told.window_start,
        unannounced=0,
    )
    alerted.store.append(Log.TASKS, caused([sent], CAUSE))
    assert send(told, alerted) == "sent before"
    assert letters(mailbox, task) == []


def test_the_next_alert_says_how_many_ended_badly_unannounced(
    alerted: Wiring, fleet: Fleet, mailbox: Mailbox, task: str
) -> None:
    for minutes in (0, 3, 14.9, 60):
        fail(fleet, task, minutes=minutes)
    fleet.project()
    send(alert(task), alerted)
    send(alert(task, windows=4), alerted)
    assert [_unannounced(letter) for letter in letters(mailbox, task)] == ["No other run", "2 more runs"]
    (sent,) = alerted.store.load(Log.TASKS, [alert(task, windows=4).stream])[alert(task, windows=4).stream]
    assert isinstance(sent, AlertSent)
    assert sent.unannounced == 2


def test_runs_whose_alert_never_went_out_are_counted_whole(
    alerted: Wiring, fleet: Fleet, mailbox: Mailbox, task: str
) -> None:
    fail(fleet, task, minutes=1)
    fleet.project()
    send(alert(task, windows=2), alerted)
    assert _unannounced(letters(mailbox, task)[0]) == "1 more run"


def _unannounced(letter: EmailMessage) -> str:
    text = next(part.get_content() for part in letter.iter_parts())  # type: ignore[attr-defined]
    (line,) = [line for line in text.splitlines() if "the alert before this one" in line]
    return str(line).partition(" of it")[0]


def test_an_alert_that_did_not_go_out_is_not_recorded_and_goes_out_next_time(
    alerted: Wiring, mailbox: Mailbox, task: str
) -> None:
    mailbox_down = Mailer(None, sender="a@example.org", timeout=timedelta(seconds=1))

    def unavailable(_letter: EmailMessage) -> None:
        raise MailUnavailableError("later")

    mailbox_down.send = unavailable  # type: ignore[method-assign, assignment]
    with pytest.raises(MailUnavailableError):
        send_alert(alert(task), Errand(alerted, mailbox_down, CAUSE, str(CAUSE.id)))
    assert send(alert(task), alerted) == "sent"
    assert len(letters(mailbox, task)) == 1


def test_without_an_address_nothing_is_sent(wired: Wiring, mailbox: Mailbox, task: str) -> None:
    assert send(alert(task), wired) == "no address"
    assert letters(mailbox, task) == []


def test_odd_names_cannot_leave_their_line(alerted: Wiring, mailbox: Mailbox, task: str) -> None:
    assert send(alert(f"{task}\r\nBcc: everybody@example.org"), alerted) == "sent"
    (letter,) = letters(mailbox, task)
    assert letter["Bcc"] is None


def test_the_task_takes_what_its_policy_tells_and_is_tried_five_times(
    alerted: Wiring, mailbox: Mailbox, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "wiring", lambda: alerted)
    told = alert(task)
    kwargs = {
        "task": told.task,
        "run_id": told.run_id,
        "ended": "failed",
        "error_type": "E",
        "error": "e",
        "worker": None,
        "failed_at": NOON.isoformat(),
        "window_start": NOON.isoformat(),
        "window_seconds": 900.0,
    }
    assert "send_failure_alert" in app.tasks
    assert send_failure_alert.apply(kwargs=kwargs, throw=True).get() == {"outcome": "sent"}
    assert len(letters(mailbox, task)) == 1
    assert send_failure_alert.retry_policy is E_MAIL
    assert (E_MAIL.max_retries, E_MAIL.maximum) == (5, timedelta(minutes=10))

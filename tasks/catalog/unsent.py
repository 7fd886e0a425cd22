"""Notices that were not sent: a run that was to send one has died, and the notice's stream is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domain.cause import Cause
from domain.notice import NOTICE_TASKS, NoticeFailed, is_sent
from infra.event_store import Log
from infra.mail.reply import bounded_text
from tasks.app import task
from tasks.catalog import accounts, alerts, notices
from tasks.catalog.run_cause import run_cause
from tasks.catalog.sending import Notice, about, record
from tasks.dead_letters.letter import Letter, UnreplayableError, load_letters
from tasks.wiring import Wiring, wiring

ERROR_UNKNOWN: Final = "dead_lettered"


def record_failure(run_id: str, wired: Wiring, cause: Cause) -> str:
    """Record that the notice which the dead run was to send has failed, unless more is known.

    Returns:
        ``recorded``, or why there was nothing to record: it was ``sent`` all the same, what became of it is ``known``
        (a refusal), the run is ``not dead``, or it is ``no notice``: nothing says what was to be sent.
    """
    letter = next(load_letters(wired.store, [run_id]), None)
    if letter is None:
        return "not dead"
    if letter.task not in NOTICE_TASKS:
        return "no notice"
    try:
        notice = notice_of(letter, wired)
    except (UnreplayableError, msgspec.ValidationError, TypeError, ValueError):
        return "no notice"
    story = wired.store.load(Log.LICENSING, [notice.stream]).get(notice.stream, [])
    if is_sent(story):
        return "sent"
    if any(getattr(event, "run_id", None) == run_id for event in story):
        return "known"
    record(_failed(notice, letter), wired.store, cause)
    return "recorded"


def notice_of(letter: Letter, wired: Wiring) -> Notice:
    """The notice that a dead run was to send.

    Raises:
        UnreplayableError: nothing says what the run was called with.
        msgspec.ValidationError: it was called with something that makes no notice.
        TypeError: the same.
    """
    kwargs = letter.payload().kwargs
    if letter.task == notices.NAME:
        return notices.notice_of(kwargs, wired)
    if letter.task == alerts.NAME:
        return alerts.notice_of(kwargs, wired)
    return accounts.notice_of(letter.task, kwargs)


def _failed(notice: Notice, letter: Letter) -> NoticeFailed:
    end = letter.end
    return NoticeFailed(
        error_type=end.error_type if end else ERROR_UNKNOWN,
        error=bounded_text(end.error if end else f"the broker took it out of its queue: {letter.died.reason}"),
        **about(notice, run_id=letter.run_id, attempt=end.attempt if end else 1, at=letter.died_at),
    )


@task("record_failed_notice", bind=True)
def record_failed_notice(self: Any, *, run_id: str) -> dict[str, str]:
    """Record that the notice which the dead run ``run_id`` was to send has failed.

    Returns:
        ``outcome``: ``recorded``, or why there was nothing to record.
    """
    return {"outcome": record_failure(run_id, wiring(), run_cause(self, at=datetime.now(UTC)))}

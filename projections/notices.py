"""Notices: which e-mails went out, to whom, what did the mail server answer, and why did the others not?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.failure_alert import AlertSent
from domain.license_events import LicenseNoticeSent
from domain.notice import (
    NoticeEvent,
    NoticeFailed,
    NoticeRefused,
    NoticeSent,
    NoticeState,
    alert_notice,
    license_notice,
    notice_id,
)
from infra.event_store import Log, Recorded
from projections import tables
from projections.order import agreed
from projections.projection import Fold
from projections.rows import Key

SLOT_SENT: Final = 2**31
"""Above every version: that it was sent is final, whatever another run told after it."""
SLOT_REMEMBERED: Final = SLOT_SENT - 1
"""A license or an alert remembers that it was sent; where the notice itself says so, that says more."""


class NoticeRow(msgspec.Struct):
    """A row of ``read_model.notices``."""

    notice_id: str
    template: str | None = None
    cause: str | None = None
    license_id: str | None = None
    state: str | None = None
    outcome_slot: int | None = None
    last_outcome_at: datetime | None = None
    sent_at: datetime | None = None
    recipient: str | None = None
    message_id: str | None = None
    reply_code: int | None = None
    reply: str | None = None
    reason: str | None = None
    detail: str | None = None
    run_id: str | None = None
    attempt: int | None = None
    refusals: int = 0
    failures: int = 0


class Notices(Fold[NoticeRow]):
    """One row per notice; the outcome that counts is the last one, and "sent" before any other.

    Licenses and alerts remember their own notices; those that were sent before notices were recorded are known by that.
    """

    name = "notices"
    question = "Which e-mails went out, what did the mail server answer, and why did the others not go out?"
    follows: ClassVar = {
        Log.LICENSING: (NoticeSent.TOPIC, NoticeRefused.TOPIC, NoticeFailed.TOPIC, LicenseNoticeSent.TOPIC),
        Log.TASKS: (AlertSent.TOPIC,),
    }
    table: ClassVar[sa.Table] = tables.NOTICES
    shape = NoticeRow

    def key(self, event: Event) -> Key:
        """The notice."""
        template, cause = _named(event)
        return (str(notice_id(template, cause)),)

    def fold(self, row: NoticeRow, recorded: Recorded) -> None:
        """Note what came of it."""
        event = recorded.event
        template, cause = _named(event)
        row.template, row.cause = agreed(row.template, template), agreed(row.cause, cause)
        row.license_id = agreed(row.license_id, _license_id(event))
        row.refusals += isinstance(event, NoticeRefused)
        row.failures += isinstance(event, NoticeFailed)
        slot = _slot(event)
        if row.outcome_slot is None or slot > row.outcome_slot:
            row.outcome_slot, row.last_outcome_at = slot, event.timestamp
            _assign(row, event)


def _assign(row: NoticeRow, event: Event) -> None:
    """All that an outcome says, and nothing of the one before it."""
    row.recipient = event.recipient if isinstance(event, NoticeEvent | LicenseNoticeSent | AlertSent) else None
    row.run_id, row.attempt = (event.run_id, event.attempt) if isinstance(event, NoticeEvent) else (None, None)
    row.message_id = row.reply_code = row.reply = row.reason = row.detail = row.sent_at = None
    match event:
        case NoticeRefused():
            row.state, row.reason, row.detail = NoticeState.REFUSED.value, event.reason.value, event.detail
            row.reply_code = event.reply_code
        case NoticeFailed():
            row.state, row.reason, row.detail = NoticeState.FAILED.value, event.error_type, event.error
        case _:
            row.state, row.sent_at = NoticeState.SENT.value, event.timestamp
    if isinstance(event, NoticeSent):
        row.message_id, row.reply_code, row.reply = event.message_id, event.reply_code, event.reply


def _slot(event: Event) -> int:
    if isinstance(event, NoticeSent):
        return SLOT_SENT
    return event.originator_version if isinstance(event, NoticeEvent) else SLOT_REMEMBERED


def _named(event: Event) -> tuple[str, str]:
    """Template and cause of the notice that an event is about."""
    match event:
        case NoticeEvent():
            return event.template, event.cause
        case LicenseNoticeSent():
            return license_notice(_license_id(event) or "", event.notice_id)
        case AlertSent():
            return alert_notice(event.originator_id)
        case _:
            raise TypeError(f"{event.TOPIC} is not about a notice")


def _license_id(event: Event) -> str | None:
    if isinstance(event, NoticeEvent):
        return event.license_id
    return event.originator_id.removeprefix("license-") if isinstance(event, LicenseNoticeSent) else None

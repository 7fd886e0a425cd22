"""Sending a notice: once for what brought it about, and what came of it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import msgspec

from domain.cause import Cause
from domain.notice import (
    NoticeEvent,
    NoticeRefusalReason,
    NoticeRefused,
    NoticeSent,
    is_sent,
    notice_id,
    notice_stream,
)
from infra.database import Leadership
from infra.event_store import EventStore, Log, LostRaceError, NewEvent
from infra.mail import (
    AddressInvalidError,
    Mailer,
    MailError,
    MailNotConfiguredError,
    MailRefusedError,
    MailTooLargeError,
)
from infra.mail.reply import bounded_text
from infra.secret_link import LinkExpiredError, LinkInvalidError
from tasks.catalog.letter import LetterInvalidError, message_id
from tasks.catalog.run_cause import attempt_number, run_cause
from tasks.wiring import Wiring

REFUSALS: Final[Mapping[type[Exception], NoticeRefusalReason]] = {
    AddressInvalidError: NoticeRefusalReason.ADDRESS_INVALID,
    MailTooLargeError: NoticeRefusalReason.TOO_LARGE,
    MailRefusedError: NoticeRefusalReason.SERVER_REFUSED,
    LetterInvalidError: NoticeRefusalReason.VALUES_INVALID,
    LinkInvalidError: NoticeRefusalReason.LINK_INVALID,
    LinkExpiredError: NoticeRefusalReason.LINK_EXPIRED,
}
"""What another try meets again, and how it is recorded; the first that fits."""
NEVER_BETTER: Final = (*REFUSALS, MailNotConfiguredError)
"""Faults after which a run is not tried again."""
TURN_SECONDS: Final = 30.0
"""How long one run waits for another that is sending the same notice."""
SOFT_LIMIT_SECONDS: Final = 240
"""After so long a run that sends is interrupted, and tried again: what it waits for has shorter ends of its own."""
LOOKS: Final = 5
"""How often a place in a notice's stream is looked for while others write there."""


class NoticeBusyError(Exception):
    """Another run has been sending this very notice for longer than anybody should take; come back later."""


class Notice(NamedTuple):
    """An e-mail that is to go out once.

    Attributes:
        template: which letter.
        cause: what brings it about; names the notice among all of that template.
        recipient: to whom, as it was told; checked when it is sent.
        license_id: whose business it is, if a license's.
    """

    template: str
    cause: str
    recipient: str | None
    license_id: str | None = None

    @property
    def id(self) -> UUID:
        """The same for the same letter and cause."""
        return notice_id(self.template, self.cause)

    @property
    def stream(self) -> str:
        """Where it is recorded what came of it."""
        return notice_stream(self.id)


class Errand(NamedTuple):
    """A run that sends a notice, and what it needs for that.

    Attributes:
        wired: settings, and the ways to the database.
        mailer: through whom.
        cause: the run, as the cause of what is recorded.
        run_id: the run.
        attempt: of it, from 1.
    """

    wired: Wiring
    mailer: Mailer
    cause: Cause
    run_id: str
    attempt: int = 1

    @classmethod
    def of(cls, task: Any, wired: Wiring, *, at: datetime) -> Self:
        """The errand of the run that ``task`` (a bound Celery task) executes.

        Raises:
            MailNotConfiguredError: a setting about mail cannot be used.
        """
        mailer = Mailer.from_settings(wired.settings)
        return cls(wired, mailer, run_cause(task, at=at), str(task.request.id), attempt_number(task))


def send_once(notice: Notice, errand: Errand, write: Callable[[], EmailMessage]) -> str:
    """Send the notice unless it has gone out, and record what comes of it.

    Who sends the same notice at the same time takes turns, so that the second finds it sent. Only a crash between the
    mail server's answer and our record repeats the e-mail; the repeat has the same ``Message-ID``.

    Args:
        notice: which.
        errand: on whose behalf.
        write: makes the letter, without sender, date and id.

    Returns:
        ``sent`` or ``sent before``.

    Raises:
        MailError: it did not go out.
        NoticeBusyError: somebody else has been sending it for too long.
        Exception: what ``write`` raises; that, too, is recorded where it is one of :data:`REFUSALS`.
    """
    store = errand.wired.store
    with Leadership(errand.wired.settings, notice.stream) as turn:
        if not turn.acquire(TURN_SECONDS):
            raise NoticeBusyError(notice.stream)
        if has_gone_out(notice, store):
            return "sent before"
        try:
            sent = _send(notice, errand, write)
        except tuple(REFUSALS) as error:
            record(_refused(notice, errand, error), store, errand.cause)
            raise
        record(sent, store, errand.cause)
    return "sent"


def has_gone_out(notice: Notice, store: EventStore) -> bool:
    """Whether it is recorded that the notice was sent."""
    return is_sent(store.load(Log.LICENSING, [notice.stream]).get(notice.stream, []))


def record(event: NoticeEvent, store: EventStore, cause: Cause) -> None:
    """Append ``event`` to its notice's stream, behind what is there; nothing where this very one is.

    Raises:
        LostRaceError: others have taken every place this looked for.
    """
    stream = event.originator_id
    event_id = cause.event_id(event.attempt)
    for look in range(1, LOOKS + 1):
        story = store.load_recorded(Log.LICENSING, [stream]).get(stream, [])
        if any(each.event_id == event_id for each in story):
            return
        placed = msgspec.structs.replace(event, originator_version=len(story) + 1)
        try:
            store.append(Log.LICENSING, [NewEvent(placed, event_id, cause.metadata())])
        except LostRaceError:
            if look == LOOKS:
                raise
        else:
            return


def about(notice: Notice, *, run_id: str, attempt: int, at: datetime) -> dict[str, Any]:
    """What every event of the notice says; its place is found when it is recorded."""
    return {
        "originator_id": notice.stream,
        "originator_version": 0,
        "timestamp": at,
        "template": notice.template,
        "cause": notice.cause,
        "recipient": notice.recipient,
        "license_id": notice.license_id,
        "run_id": run_id,
        "attempt": attempt,
    }


def _send(notice: Notice, errand: Errand, write: Callable[[], EmailMessage]) -> NoticeSent:
    letter = write()
    letter["Date"] = format_datetime(errand.cause.at)
    letter["Message-ID"] = message_id(notice.id, sender=errand.mailer.sender)
    reply = errand.mailer.send(letter)
    told = _told(notice, errand)
    return NoticeSent(message_id=str(letter["Message-ID"]), reply_code=reply.code, reply=reply.text, **told)


def _refused(notice: Notice, errand: Errand, error: Exception) -> NoticeRefused:
    reason = next(reason for kind, reason in REFUSALS.items() if isinstance(error, kind))
    reply = error.reply if isinstance(error, MailError) else None
    code = reply.code if reply else None
    return NoticeRefused(reason=reason, detail=bounded_text(str(error)), reply_code=code, **_told(notice, errand))


def _told(notice: Notice, errand: Errand) -> dict[str, Any]:
    return about(notice, run_id=errand.run_id, attempt=errand.attempt, at=errand.cause.at)

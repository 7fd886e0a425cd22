"""Notices: a license's holder is told by e-mail that its term nears or has reached its end."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

import msgspec

from domain.aggregate import replay
from domain.cause import Cause
from domain.license import License, license_stream
from domain.license_policy import Expiry
from domain.license_refusals import LicenseUnknown
from domain.license_state import LicenseState
from infra.database import Leadership
from infra.event_store import EventStore, Log
from infra.mail import AddressInvalidError, Mailer, MailNotConfiguredError, MailRefusedError
from infra.settings import Settings
from tasks.app import task
from tasks.catalog.judging import Judge, Outcome
from tasks.catalog.letter import compose, message_id
from tasks.catalog.run_cause import run_cause
from tasks.wiring import wiring
from tasks.worker.policies import E_MAIL

NEVER_BETTER: Final = (AddressInvalidError, MailNotConfiguredError, MailRefusedError)
"""Faults that another try meets again."""
CONSEQUENCES: Final = {
    Expiry.RESTRICT: "No new session can start under it. Renew it, and sessions can start again at once.",
    Expiry.REVOKE: "Sessions under it have ended. Renew it, and new ones can start at once.",
    Expiry.MAINTAIN: "It can be used as before for the time being. Renew it to keep it in use.",
}
"""What a holder is told that the end of the term means."""
TURN_SECONDS: Final = 30.0
"""How long one run waits for another that is sending the same notice."""


class NoticeBusyError(Exception):
    """Another run has been sending this very notice for longer than anybody should take; come back later."""


class NoticeNotRecordedError(Exception):
    """The e-mail went out and the store did not take in that it did; the next attempt repeats it under the same id."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told, once.

    Attributes:
        license_id: about which license.
        notice_id: what names this notice among all of the license.
        days_left: which of the notices before the end; 0: the term has ended.
        valid_until: end of the term it is about.
    """

    license_id: str
    notice_id: str
    days_left: int
    valid_until: datetime

    def letter_values(self, expiry: Expiry) -> dict[str, str]:
        """What goes into the letter; ``expiry`` is what the end of the term means for this license."""
        until = self.valid_until.astimezone(UTC)
        return {
            "license_id": self.license_id,
            "day": f"{until:%Y-%m-%d}",
            "valid_until": f"{until:%Y-%m-%d %H:%M}",
            "days": "1 day" if self.days_left == 1 else f"{self.days_left} days",
            "consequence": CONSEQUENCES[expiry],
        }


def send_notice(notice: Notice, *, settings: Settings, store: EventStore, mailer: Mailer, cause: Cause) -> str:
    """Send the notice if it is still to be sent, and record that.

    Who sends the same notice at the same time takes turns, so that the second finds it sent. Only a crash between
    the mail server's answer and our record repeats the e-mail; the repeat has the same ``Message-ID``.

    Returns:
        ``sent``, or why there was nothing to send: ``no address``, ``sent before``, or ``overtaken`` by a renewal or a
        revocation, which makes what it says untrue.

    Raises:
        LicenseUnknown: there is no such license.
        MailError: it did not go out.
        NoticeBusyError: somebody else has been sending it for too long.
        NoticeNotRecordedError: it went out.
    """
    stream = license_stream(notice.license_id)
    with Leadership(settings, f"notice {stream} {notice.notice_id}") as turn:
        if not turn.acquire(TURN_SECONDS):
            raise NoticeBusyError(f"{stream}: {notice.notice_id}")
        license_ = _load(store, stream)
        to = license_.holder_email
        if to is None:
            return "no address"
        if notice.notice_id in license_.notices_sent:
            return "sent before"
        if license_.valid_until != notice.valid_until or license_.state is LicenseState.REVOKED:
            return "overtaken"
        _send(notice, to=to, expiry=license_.policy.expiry, mailer=mailer, at=cause.at)
        _record(notice, store=store, recipient=to, cause=cause)
    return "sent"


def _load(store: EventStore, stream: str) -> License:
    license_ = replay(store.load(Log.LICENSING, [stream]).get(stream, []))
    if not isinstance(license_, License):
        raise LicenseUnknown(stream)
    return license_


def _send(notice: Notice, *, to: str, expiry: Expiry, mailer: Mailer, at: datetime) -> None:
    name = "license_expiring" if notice.days_left else "license_expired"
    letter = compose(name, notice.letter_values(expiry), to=to)
    letter["Date"] = format_datetime(at)
    letter["Message-ID"] = message_id(f"{notice.license_id}/{notice.notice_id}", sender=mailer.sender)
    mailer.send(letter)


def _record(notice: Notice, *, store: EventStore, recipient: str, cause: Cause) -> None:
    judge = Judge(store, cause)
    stream = license_stream(notice.license_id)
    judge.ask({stream: lambda known: known.record_notice(notice.notice_id, recipient=recipient, at=cause.at)})
    if judge.judgement.outcomes[Outcome.FAILED]:
        raise NoticeNotRecordedError(f"{stream}: {notice.notice_id}")


@task("send_license_notice", bind=True, retry_policy=E_MAIL, no_retry_for=NEVER_BETTER)
def send_license_notice(
    self: Any, *, license_id: str, notice_id: str, days_left: int, valid_until: str
) -> dict[str, str]:
    """Tell a license's holder that its term ends in ``days_left`` days, or (0) has ended.

    Returns:
        ``outcome``: ``sent``, or why there was nothing to send.
    """
    wired = wiring()
    notice = Notice(
        license_id=license_id,
        notice_id=notice_id,
        days_left=days_left,
        valid_until=datetime.fromisoformat(valid_until),
    )
    outcome = send_notice(
        notice,
        settings=wired.settings,
        store=wired.store,
        mailer=Mailer.from_settings(wired.settings),
        cause=run_cause(self, at=datetime.now(UTC)),
    )
    return {"outcome": outcome}

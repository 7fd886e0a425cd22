"""License notices: a license's holder is told by e-mail that its term nears or has reached its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from domain.aggregate import replay
from domain.license import License, license_stream
from domain.license_policy import Expiry
from domain.license_refusals import LicenseUnknown
from domain.license_state import LicenseState
from domain.notice import license_notice
from infra.event_store import EventStore, Log
from tasks.app import task
from tasks.catalog.judging import Judge, Outcome
from tasks.catalog.letter import compose
from tasks.catalog.sending import NEVER_BETTER, SOFT_LIMIT_SECONDS, Errand, Notice, send_once
from tasks.wiring import Wiring, wiring
from tasks.worker.policies import E_MAIL

NAME: Final = "send_license_notice"
CONSEQUENCES: Final = {
    Expiry.RESTRICT: "No new session can start under it. Renew it, and sessions can start again at once.",
    Expiry.REVOKE: "Sessions under it have ended. Renew it, and new ones can start at once.",
    Expiry.MAINTAIN: "It can be used as before for the time being. Renew it to keep it in use.",
}
"""What a holder is told that the end of the term means."""


class NoticeNotRecordedError(Exception):
    """The e-mail went out and the license did not take in that it did; the next attempt sees to that alone."""


class LicenseNotice(NamedTuple):
    """What a holder is to be told, once.

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

    def to(self, recipient: str | None) -> Notice:
        """The same as a notice like any other."""
        return Notice(*license_notice(self.license_id, self.notice_id), recipient, self.license_id)

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


def send_notice(told: LicenseNotice, errand: Errand) -> str:
    """Send the notice if it is still to be sent; the license remembers that, too.

    Returns:
        ``sent``, or why there was nothing to send: ``no address``, ``sent before``, or ``overtaken`` by a renewal or a
        revocation, which makes what it says untrue.

    Raises:
        LicenseUnknown: there is no such license.
        MailError: it did not go out.
        NoticeBusyError: somebody else has been sending it for too long.
        NoticeNotRecordedError: it went out.
    """
    store = errand.wired.store
    license_ = _load(store, told.license_id)
    to = license_.holder_email
    if to is None:
        return "no address"
    if told.notice_id in license_.notices_sent:
        return "sent before"
    if license_.valid_until != told.valid_until or license_.state is LicenseState.REVOKED:
        return "overtaken"
    notice = told.to(to)
    values, templates = told.letter_values(license_.policy.expiry), errand.wired.settings.mail_templates_dir
    outcome = send_once(notice, errand, lambda: compose(notice.template, values, to=to, templates_dir=templates))
    _remember(told, errand, recipient=to)
    return outcome


def notice_of(kwargs: Mapping[str, Any], wired: Wiring) -> Notice:
    """The notice that a run with these arguments was to send."""
    told = _told(**kwargs)
    try:
        return told.to(_load(wired.store, told.license_id).holder_email)
    except LicenseUnknown:
        return told.to(None)


def _load(store: EventStore, license_id: str) -> License:
    stream = license_stream(license_id)
    license_ = replay(store.load(Log.LICENSING, [stream]).get(stream, []))
    if not isinstance(license_, License):
        raise LicenseUnknown(stream)
    return license_


def _remember(told: LicenseNotice, errand: Errand, *, recipient: str) -> None:
    judge = Judge(errand.wired.store, errand.cause)
    stream = license_stream(told.license_id)
    at = errand.cause.at
    judge.ask({stream: lambda known: known.record_notice(told.notice_id, recipient=recipient, at=at)})
    if judge.judgement.outcomes[Outcome.FAILED]:
        raise NoticeNotRecordedError(f"{stream}: {told.notice_id}")


def _told(*, license_id: str, notice_id: str, days_left: int, valid_until: str) -> LicenseNotice:
    return LicenseNotice(license_id, notice_id, days_left, datetime.fromisoformat(valid_until))


@task(NAME, bind=True, retry_policy=E_MAIL, no_retry_for=NEVER_BETTER, soft_time_limit=SOFT_LIMIT_SECONDS)
def send_license_notice(self: Any, **told: Any) -> dict[str, str]:
    """Tell a license's holder that its term ends in ``days_left`` days, or (0) has ended.

    Returns:
        ``outcome``: ``sent``, or why there was nothing to send.
    """
    return {"outcome": send_notice(_told(**told), Errand.of(self, wiring(), at=datetime.now(UTC)))}

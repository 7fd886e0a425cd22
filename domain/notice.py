"""Notices: e-mails, each brought about by something and sent once for it; what came of one is a fact.

A notice's stream takes its name from what it is and what brought it about, so whoever wants to send the same one again
finds that it was sent. A refusal or a failure does not close it: the next attempt, or a replay by people, may succeed.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID, uuid5

from domain.aggregate import Event
from domain.license_events import LicenseExpired

NAMESPACE: Final = UUID("0192d7a5-6e07-7ce5-8a11-6e6f74696365")
"""Namespace (RFC 9562, name-based UUIDs) of the ids of notices."""


class NoticeState(StrEnum):
    """What has come of a notice. Sent is final."""

    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"


class NoticeRefusalReason(StrEnum):
    """Why a notice will not go out, however often it is tried."""

    ADDRESS_INVALID = "address_invalid"
    SERVER_REFUSED = "server_refused"
    """The mail server said so (5xx), or cannot take such an address."""
    TOO_LARGE = "too_large"
    VALUES_INVALID = "values_invalid"
    """What the letter was to say, or its template, is not such as a letter can be made of."""
    LINK_INVALID = "link_invalid"
    """The link is not encrypted to a key of ours, was made for somebody else, or is none that a letter may hold."""
    LINK_EXPIRED = "link_expired"


def notice_id(template: str, cause: str) -> UUID:
    """The id of the notice that ``cause`` brings about; the same every time.

    Args:
        template: which letter it is.
        cause: what brought it about, in words that nothing else is called by among notices of that template.
    """
    return uuid5(NAMESPACE, f"{template}/{cause}")


def license_notice(license_id: str, notice: str) -> tuple[str, str]:
    """Template and cause of the notice that a license calls ``notice`` (see :mod:`domain.policies`)."""
    is_over = notice.startswith(f"{LicenseExpired.TOPIC}:")
    return "license_expired" if is_over else "license_expiring", f"{license_id}/{notice}"


def alert_notice(alert: str) -> tuple[str, str]:
    """Template and cause of the notice that is the alert of that stream."""
    return "failure_alert", alert


def notice_stream(notice: UUID | str) -> str:
    """Stream of the notice of that id."""
    return f"notice-{notice}"


class NoticeEvent(Event, frozen=True, kw_only=True):
    """Anything that comes of a notice.

    Attributes:
        template: which letter it is.
        cause: what brought it about.
        recipient: the address; None where it is not known any more.
        run_id: the run that tells of it.
        attempt: which attempt of it, from 1.
        license_id: the license whose business it is, if it is one's.
    """

    template: str
    cause: str
    recipient: str | None
    run_id: str
    attempt: int
    license_id: str | None = None


class NoticeSent(NoticeEvent, frozen=True, kw_only=True):
    """The mail server took the e-mail, answering ``reply_code`` and ``reply``; from here on it is that server's.

    ``message_id`` is the e-mail's own, by which its way can be followed in mail servers' logs.
    """

    TOPIC: ClassVar[str] = "notice.sent"
    message_id: str
    reply_code: int
    reply: str


class NoticeRefused(NoticeEvent, frozen=True, kw_only=True):
    """The e-mail will not go out, for a ``reason`` that trying again does not change.

    ``detail`` says more; ``reply_code`` is the mail server's, where it answered.
    """

    TOPIC: ClassVar[str] = "notice.refused"
    reason: NoticeRefusalReason
    detail: str
    reply_code: int | None = None


class NoticeFailed(NoticeEvent, frozen=True, kw_only=True):
    """The run that was to send the e-mail has ended without having sent it; ``error_type`` and ``error`` say why."""

    TOPIC: ClassVar[str] = "notice.failed"
    error_type: str
    error: str


def is_sent(events: Iterable[Event]) -> bool:
    """Whether a notice with these events has gone out."""
    return any(isinstance(event, NoticeSent) for event in events)


NOTICE_TASKS: Final = frozenset(
    {"send_license_notice", "send_failure_alert", "send_verification", "send_password_reset", "send_welcome"}
)
"""Tasks whose runs each send one notice."""

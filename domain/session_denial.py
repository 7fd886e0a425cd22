"""Denials: uses of a license that were asked for and not admitted. Each is a fact of its own, with the figures."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final, Self
from uuid import UUID, uuid5

from domain.aggregate import Event
from domain.license import License

RESUMES: Final = UUID("0192d7a5-d3e1-7a44-9b0f-64656e69616c")
"""Namespace (RFC 9562, name-based UUIDs) of denials to resume; one for each lapse."""


class DenialReason(StrEnum):
    """Why a license does not admit a use of it: its state, or that no seat is free."""

    NO_SEAT = "no_seat"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Wish(StrEnum):
    """What was asked for."""

    START = "start"
    RESUME = "resume"


def denial_stream(cause: UUID | str) -> str:
    """Stream of the denial that follows from ``cause``."""
    return f"session_denial-{cause}"


class SessionDenied(Event, frozen=True, kw_only=True):
    """A session was not let start, or a lapsed one not let resume."""

    TOPIC: ClassVar[str] = "session.denied"
    session_id: str
    license_id: str
    wish: Wish
    reason: DenialReason
    seats: int | None
    """The license's seats; None: it has no limit."""
    limit: int | None
    """Most seats that may be taken, with the overage that its policy allows; None: any number."""
    taken: int | None
    """How many were, where they were counted."""
    host: str | None = None

    @classmethod
    def record(
        cls,
        cause: UUID,
        reason: DenialReason,
        *,
        session_id: str,
        under: License,
        taken: int | None,
        at: datetime,
        wish: Wish = Wish.START,
        host: str | None = None,
    ) -> Self:
        """The fact that follows from ``cause``; the same cause gives the same stream, once."""
        return cls(
            originator_id=denial_stream(cause),
            originator_version=1,
            timestamp=at,
            session_id=session_id,
            license_id=under.license_id,
            wish=wish,
            reason=reason,
            seats=under.seats,
            limit=seat_limit(under),
            taken=taken,
            host=host,
        )


def seat_limit(license_: License) -> int | None:
    """Most sessions that may hold a seat of the license at once; None: any number."""
    return license_.policy.overage.limit(license_.seats)


def denial(under: License, *, at: datetime, taken: int | None) -> DenialReason | None:
    """Why a session may not begin to use a license at a time; None: it may.

    Args:
        under: the license.
        at: when.
        taken: how many of its seats are taken by then; None where nobody counts, which only a license without a limit
            allows.
    """
    barred = under.barred_as(at=at)
    if barred is not None:
        return DenialReason(barred.value)
    limit = seat_limit(under)
    if limit is None:
        return None
    return DenialReason.NO_SEAT if taken is None or taken >= limit else None


def resume_cause(session_stream: str, lapse_version: int) -> UUID:
    """What a denial to resume follows from: the lapse, whose event has that version. One lapse is denied once."""
    return uuid5(RESUMES, f"{session_stream}/{lapse_version}")

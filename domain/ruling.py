"""Rulings: what a license says about work that names it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.aggregate import Event
from domain.license import License
from domain.license_policy import Expiry
from domain.license_state import LicenseState

ABOUT_LICENSES: Final = frozenset({"send_license_notice", "end_license_sessions"})
"""Tasks of ours that do what a license's events ask for; no license decides about them."""


class Says(StrEnum):
    """What becomes of work that names a license."""

    ADMITTED = "admitted"
    """It begins."""
    DEFERRED = "deferred"
    """It waits, as the same attempt, until the license says something else."""
    REFUSED = "refused"
    """It is not begun and ends as rejected: a dead letter, which can be replayed once the license is renewed."""
    REVOKED = "revoked"
    """It is not begun, or not gone on with, and ends as revoked."""


class Ruling(NamedTuple):
    """What a license says about work at a time.

    Attributes:
        says: what becomes of it.
        decided_by: id of the event that made it so.
        error_type: a stable word for why it is not admitted.
        text: why, in words.
    """

    says: Says
    decided_by: UUID
    error_type: str
    text: str


class Mark(NamedTuple):
    """The event that brought one side of a license to what it is: its place in the stream, and its id."""

    version: int
    event_id: UUID


class Standing(NamedTuple):
    """How a license stands toward work, each side with the event that made it so.

    Attributes:
        license_id: which.
        state: as recorded.
        is_suspended: whether nobody has lifted its suspension, also where it has expired since.
        valid_until: end of its term.
        expiry: what that end means.
        marks: by the names of the four before, which event it is due to.
    """

    license_id: str
    state: LicenseState
    is_suspended: bool
    valid_until: datetime
    expiry: Expiry
    marks: dict[str, Mark]

    def ruling(self, now: datetime) -> Ruling:
        """What it says at ``now``; it admits when ``barred_as`` of :mod:`domain.license_standing` bars nothing.

        An end of the term that is not recorded ends nothing for good: terms are judged in log time, and a renewal that
        was sent in time may still be on its way. Work waits until the log knows.
        """
        if self.state is LicenseState.REVOKED:
            return self._ruling(Says.REVOKED, "state", "LicenseRevoked", "has been revoked")
        is_expired = self.state is LicenseState.EXPIRED
        ended = f"expired at {self.valid_until.isoformat()}"
        if is_expired and self.expiry is Expiry.REVOKE:
            return self._ruling(Says.REVOKED, self._ended_by(), "LicenseExpired", ended)
        if self.is_suspended:
            return self._ruling(Says.DEFERRED, "is_suspended", "LicenseSuspended", "is suspended")
        if is_expired and self.expiry is Expiry.RESTRICT:
            return self._ruling(Says.REFUSED, self._ended_by(), "LicenseExpired", ended)
        if not is_expired and self.valid_until <= now and self.expiry is not Expiry.MAINTAIN:
            return self._ruling(Says.DEFERRED, "valid_until", "LicenseTermOver", ended)
        return self._ruling(Says.ADMITTED, self._ended_by() if is_expired else "state", "", "admits work")

    def recorded(self) -> Ruling:
        """What it says by what is recorded alone, whatever the time is."""
        return self.ruling(datetime.min.replace(tzinfo=UTC))

    def _ended_by(self) -> str:
        """The side that is to blame for an expiry meaning what it does: the latest to become so."""
        return max("state", "expiry", key=lambda side: self.marks[side].version)

    def _ruling(self, says: Says, side: str, error_type: str, text: str) -> Ruling:
        return Ruling(says, self.marks[side].event_id, error_type, f"license {self.license_id} {text}")


def standing_of(story: Iterable[tuple[Event, UUID]]) -> Standing | None:
    """How the license stands that ``story`` tells of: its stream's events in order, each with its id.

    None where nothing was ever told of it.
    """
    found: Any = None
    sides: dict[str, Any] = {}
    marks: dict[str, Mark] = {}
    for event, event_id in story:
        found = event.mutate(found)
        told = _sides(found)
        for name, value in told.items():
            if name not in sides or sides[name] != value:
                marks[name] = Mark(event.originator_version, event_id)
        sides = told
    return Standing(found.license_id, **sides, marks=marks) if found is not None else None


def _sides(license_: License) -> dict[str, Any]:
    return {
        "state": license_.state,
        "is_suspended": license_.is_suspended,
        "valid_until": license_.valid_until,
        "expiry": license_.policy.expiry,
    }

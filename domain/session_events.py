"""What happens to a session: its transitions. Heartbeats are no events of its stream (:mod:`domain.heartbeat`)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from domain.aggregate import Created, Event
from domain.license_policy import OnLapse
from domain.session_rules import SessionRules

if TYPE_CHECKING:
    from domain.session import Session


class SessionState(StrEnum):
    """Where a session stands."""

    ACTIVE = "active"
    LAPSED = "lapsed"
    ENDED = "ended"


class SessionStarted(Created, frozen=True, kw_only=True):
    """A use of a license began, under the rules that the license's policy gave then."""

    TOPIC: ClassVar[str] = "session.started"
    class_version: ClassVar[int] = 2
    session_id: str
    license_id: str
    rules: SessionRules
    host: str | None
    seat: int | None = None
    """How many of the license's seats were taken with this one; None: they were not counted."""
    seats: int | None = None
    """How many seats the license had; None: it had no limit, or nobody said so."""

    @staticmethod
    def upcast_v1_v2(data: dict[str, Any]) -> None:
        """Version 1 said `patience_seconds` and no other rule; the others are those that every session had."""
        data["rules"] = {"patience_seconds": data.pop("patience_seconds")}

    def apply(self, aggregate: Session) -> None:
        """Assign what it began with."""
        aggregate.session_id = self.session_id
        aggregate.license_id = self.license_id
        aggregate.rules = self.rules
        aggregate.started_at = self.timestamp
        aggregate.state = SessionState.ACTIVE
        aggregate.lapsed_at = aggregate.patience_over_at = aggregate.resumed_at = aggregate.ended_at = None


class SessionLapsed(Event, frozen=True, kw_only=True):
    """The heartbeats stopped; nobody signed out. Occurred at the last heartbeat.

    ``judged_at`` is the log time that was known when it was found out. ``patience_over_at`` is when its patience was
    over, put off by blind windows: the same whoever finds it out and when; facts of before there were such do not say.
    """

    TOPIC: ClassVar[str] = "session.lapsed"
    judged_at: datetime
    patience_over_at: datetime | None = None

    def apply(self, aggregate: Session) -> None:
        """Assign the lapse, and the end it is taken to have had where its rules end it."""
        aggregate.state = SessionState.LAPSED
        aggregate.lapsed_at = self.timestamp
        aggregate.patience_over_at = self.patience_over_at or self.timestamp + aggregate.rules.patience
        aggregate.ended_at = self.timestamp if aggregate.rules.on_lapse is OnLapse.END else None


class SessionResumed(Event, frozen=True, kw_only=True):
    """A heartbeat came after the lapse and in time."""

    TOPIC: ClassVar[str] = "session.resumed"
    seat: int | None = None
    """How many of the license's seats were taken with this one; None: they were not counted, or it had kept its own."""
    seats: int | None = None
    """How many seats the license had."""

    def apply(self, aggregate: Session) -> None:
        """Undo the lapse."""
        aggregate.state = SessionState.ACTIVE
        aggregate.resumed_at = self.timestamp
        aggregate.lapsed_at = aggregate.patience_over_at = aggregate.ended_at = None


class SessionEnded(Event, frozen=True, kw_only=True):
    """Somebody signed out, or somebody ended it; who is the `actor` beside the event."""

    TOPIC: ClassVar[str] = "session.ended"
    reason: str

    def apply(self, aggregate: Session) -> None:
        """Assign the end."""
        aggregate.state = SessionState.ENDED
        aggregate.ended_at = self.timestamp

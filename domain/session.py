"""Sessions: a use of a license from its start to its end, kept alive by heartbeats.

A heartbeat is a fact received, high in volume and without a rule at the door (see :mod:`domain.heartbeat`); the
session's own stream holds its transitions only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Self

from domain.aggregate import Aggregate, Created, Event
from domain.license import License
from domain.refusal import Refusal


def session_stream(session_id: str) -> str:
    """Stream of the session that services call ``session_id``."""
    return f"session-{session_id}"


class SessionState(StrEnum):
    """Where a session stands."""

    ACTIVE = "active"
    LAPSED = "lapsed"
    ENDED = "ended"


class SessionAlreadyStarted(Refusal):
    """a session of this id has been started before."""


class SessionUnknown(Refusal):
    """no session of this id has been started."""


class SessionNotOpen(Refusal):
    """the session is {state}; it has to be open for this."""


class ResurrectionWindowOver(Refusal):
    """the session lapsed at {lapsed_at}; it could have resumed until {until}, and did at {at}."""


class Session(Aggregate):
    """A session from its start to its end; a lapse can be undone, an end cannot."""

    TOPIC: ClassVar[str] = "session"

    if TYPE_CHECKING:  # the library would make a dataclass of annotations; the first event assigns these
        session_id: str
        license_id: str
        started_at: datetime
        patience_seconds: float
        state: SessionState
        ended_at: datetime | None

    @classmethod
    def start(
        cls,
        session_id: str,
        *,
        under: License,
        default_patience: timedelta,
        at: datetime,
        host: str | None = None,
        taken: int | None = None,
    ) -> Self:
        """Start a session under a license that has a seat for it (:func:`domain.session_denial.denial`).

        Args:
            session_id: what services call it.
            under: the license it uses; its patience counts where it has one.
            default_patience: silence after which it lapses otherwise.
            at: when it started.
            host: where it runs, if known.
            taken: how many of the license's seats are taken before it; None: nobody counts.

        Raises:
            LicenseNotActive: the license does not admit sessions, or not any more at that time.
        """
        under.admit_session(at=at)
        return cls.begin(
            SessionStarted,
            stream_id=session_stream(session_id),
            at=at,
            session_id=session_id,
            license_id=under.license_id,
            patience_seconds=under.policy.patience_seconds or default_patience.total_seconds(),
            host=host,
            seat=None if taken is None else taken + 1,
            seats=under.seats,
        )

    @property
    def holds_seat(self) -> bool:
        """Whether it takes one of its license's seats."""
        return self.state is SessionState.ACTIVE

    def end(self, *, reason: str, at: datetime) -> None:
        """Sign out. A lapsed session may still say that it ended.

        Raises:
            SessionNotOpen: it has ended before.
        """
        if self.state is SessionState.ENDED:
            raise SessionNotOpen(self.id, state=self.state.value)
        self.record(SessionEnded, at=at, reason=reason)

    def lapse(self, *, last_heartbeat_at: datetime, judged_at: datetime) -> bool:
        """Record that the heartbeats stopped, as of the last one.

        Args:
            last_heartbeat_at: the last sign of life; the session counts as ended then.
            judged_at: log time: everything sent before it has been stored.

        Returns:
            Whether it lapsed: False where it is not active any more or has not been silent for its patience.
        """
        patience = timedelta(seconds=self.patience_seconds)
        if self.state is not SessionState.ACTIVE or judged_at - last_heartbeat_at <= patience:
            return False
        self.record(SessionLapsed, at=last_heartbeat_at, judged_at=judged_at)
        return True

    def resume(self, *, heartbeat_at: datetime, window: timedelta) -> bool:
        """Record that a lapsed session came back.

        Returns:
            Whether it resumed: False where it is not lapsed or the heartbeat is not newer than the lapse.

        Raises:
            ResurrectionWindowOver: it came back too late.
        """
        if self.state is not SessionState.LAPSED or self.ended_at is None or heartbeat_at <= self.ended_at:
            return False
        until = self.ended_at + timedelta(seconds=self.patience_seconds) + window
        if heartbeat_at > until:
            raise ResurrectionWindowOver(self.id, lapsed_at=self.ended_at, until=until, at=heartbeat_at)
        self.record(SessionResumed, at=heartbeat_at)
        return True


class SessionStarted(Created, frozen=True, kw_only=True):
    """A use of a license began."""

    TOPIC: ClassVar[str] = "session.started"
    session_id: str
    license_id: str
    patience_seconds: float
    host: str | None
    seat: int | None = None
    """How many of the license's seats were taken with this one; None: they were not counted."""
    seats: int | None = None
    """How many seats the license had; None: it had no limit, or nobody said so."""

    def apply(self, aggregate: Session) -> None:
        """Assign what it began with."""
        aggregate.session_id = self.session_id
        aggregate.license_id = self.license_id
        aggregate.started_at = self.timestamp
        aggregate.patience_seconds = self.patience_seconds
        aggregate.state = SessionState.ACTIVE
        aggregate.ended_at = None


class SessionEnded(Event, frozen=True, kw_only=True):
    """Somebody signed out."""

    TOPIC: ClassVar[str] = "session.ended"
    reason: str

    def apply(self, aggregate: Session) -> None:
        """Assign the end."""
        aggregate.state = SessionState.ENDED
        aggregate.ended_at = self.timestamp


class SessionLapsed(Event, frozen=True, kw_only=True):
    """The heartbeats stopped; nobody signed out. Occurred at the last heartbeat."""

    TOPIC: ClassVar[str] = "session.lapsed"
    judged_at: datetime

    def apply(self, aggregate: Session) -> None:
        """Assign the end it is taken to have had."""
        aggregate.state = SessionState.LAPSED
        aggregate.ended_at = self.timestamp


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
        aggregate.ended_at = None

"""Sessions: a use of a license from its start to its end, kept alive by heartbeats.

A heartbeat is a fact received, high in volume and without a rule at the door (see :mod:`domain.heartbeat`); the
session's own stream holds its transitions only. When they are due follows from the logs alone, whoever looks and when
(docs/adr/0018-silence.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from domain.aggregate import Aggregate
from domain.blindness import BlindWindow, patience_over
from domain.license import License
from domain.license_policy import MonitoringStart, OnLapse, Resurrection
from domain.session_events import SessionEnded, SessionLapsed, SessionResumed, SessionStarted, SessionState
from domain.session_refusals import ResurrectionForbidden, ResurrectionWindowOver, SessionNotOpen
from domain.session_rules import SessionRules


def session_stream(session_id: str) -> str:
    """Stream of the session that services call ``session_id``."""
    return f"session-{session_id}"


class Silence(NamedTuple):
    """A stretch without news of a session, as the log of heartbeats tells of it.

    Attributes:
        log_time: how far log time had come when it ended, or has come by now.
        last_heartbeat_at: the heartbeat before it, by the session's own clock; None: there was none.
        heard_at: when a heartbeat was last recorded before it, news or not: a sign of life, too, where the session's
            clock is behind.
        heartbeat_at: the first heartbeat since it that was news; None: there was none yet.
    """

    log_time: datetime
    last_heartbeat_at: datetime | None = None
    heard_at: datetime | None = None
    heartbeat_at: datetime | None = None


class Session(Aggregate):
    """A session from its start to its end; a lapse can be undone, an end cannot."""

    TOPIC: ClassVar[str] = "session"

    if TYPE_CHECKING:  # the library would make a dataclass of annotations; the first event assigns these
        session_id: str
        license_id: str
        rules: SessionRules
        started_at: datetime
        state: SessionState
        lapsed_at: datetime | None
        patience_over_at: datetime | None
        resumed_at: datetime | None
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
        """Start a session under a license that has a seat for it (:func:`domain.session_denial.denial`), by its policy.

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
            rules=SessionRules.under(under.policy, default_patience=default_patience),
            host=host,
            seat=None if taken is None else taken + 1,
            seats=under.seats,
        )

    @property
    def holds_seat(self) -> bool:
        """Whether it takes one of its license's seats: while it is active, and lapsed where its rules keep it."""
        is_kept = self.state is SessionState.LAPSED and self.rules.on_lapse is OnLapse.KEEP
        return self.state is SessionState.ACTIVE or is_kept

    def end(self, *, reason: str, at: datetime) -> None:
        """Sign out. A lapsed session may still say that it ended.

        Raises:
            SessionNotOpen: it has ended before.
        """
        if self.state is SessionState.ENDED:
            raise SessionNotOpen(self.id, state=self.state.value)
        self.record(SessionEnded, at=at, reason=reason)

    def judge(self, silence: Silence, *, blind: Sequence[BlindWindow] = ()) -> None:
        """Record what a silence and the heartbeat that broke it, if one did, have brought about: a lapse, a return.

        Silences are judged in order; one that began before the session last came back has been judged before.
        """
        back_at = silence.heartbeat_at
        if self.resumed_at is not None and self.resumed_at > (silence.last_heartbeat_at or self.started_at):
            return
        self.lapse(silence, blind=blind)
        if back_at is not None:
            with suppress(ResurrectionWindowOver, ResurrectionForbidden):  # then it stays lapsed
                self.resume(heartbeat_at=back_at, blind=blind)

    def lapse(self, silence: Silence, *, blind: Sequence[BlindWindow] = ()) -> bool:
        """Record that the heartbeats stopped, as of the last one.

        Args:
            silence: since when nothing has been heard of it, and up to which log time.
            blind: windows whose time counts for nobody.

        Returns:
            Whether it lapsed: False where it is not active any more, is not watched yet, or has not been silent for its
            patience.
        """
        if self.state is not SessionState.ACTIVE:
            return False
        if silence.last_heartbeat_at is None and self.rules.monitoring_starts is MonitoringStart.FIRST_HEARTBEAT:
            return False
        last_sign_at = max(self.resumed_at or self.started_at, silence.last_heartbeat_at or self.started_at)
        sign_at = max(last_sign_at, silence.heard_at or last_sign_at)
        over_at = patience_over(sign_at, self.rules.patience, blind)
        if silence.log_time <= over_at:
            return False
        self.record(SessionLapsed, at=last_sign_at, judged_at=silence.log_time, patience_over_at=over_at)
        return True

    def resume(self, *, heartbeat_at: datetime, blind: Sequence[BlindWindow] = ()) -> bool:
        """Record that a lapsed session came back.

        Returns:
            Whether it resumed: False where it is not lapsed or the heartbeat is not newer than the lapse.

        Raises:
            ResurrectionForbidden: its rules let no lapsed session come back.
            ResurrectionWindowOver: it came back too late.
        """
        if self.state is not SessionState.LAPSED or self.lapsed_at is None or heartbeat_at <= self.lapsed_at:
            return False
        if self.rules.resurrection is Resurrection.NEVER:
            raise ResurrectionForbidden(self.id, lapsed_at=self.lapsed_at)
        until = self._may_resume_until(blind)
        if until is not None and heartbeat_at > until:
            raise ResurrectionWindowOver(self.id, lapsed_at=self.lapsed_at, until=until, at=heartbeat_at)
        self.record(SessionResumed, at=heartbeat_at)
        return True

    def _may_resume_until(self, blind: Sequence[BlindWindow]) -> datetime | None:
        window = self.rules.resurrection.window
        if window is None or self.patience_over_at is None:
            return None
        return patience_over(self.patience_over_at, window, blind)

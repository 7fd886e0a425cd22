"""Sessions: who uses which license, since when, and when was the last sign of life?

Two logs feed one table and never touch the same column: transitions come from the licensing log, heartbeats and log
time from the heartbeats log. So the two may be followed at any pace relative to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.blindness import BlindWindowPassed
from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from domain.license_policy import OnLapse
from domain.session_events import SessionEnded, SessionLapsed, SessionResumed, SessionStarted, SessionState
from domain.session_rules import SessionRules
from infra.event_store import Log, Recorded
from projections import tables
from projections.blindness import record_windows
from projections.heartbeats import advance_log_time, count_heartbeats
from projections.projection import Fold
from projections.returns import forget, settle
from projections.rows import Key


class SessionRow(msgspec.Struct):
    """What transitions tell: the columns of ``read_model.sessions`` that come from the licensing log."""

    session_id: str
    license_id: str | None = None
    state: str | None = None
    host: str | None = None
    started_at: datetime | None = None
    patience_seconds: float | None = None
    policy: str | None = None
    heartbeat_interval_seconds: float | None = None
    monitoring_starts: str | None = None
    on_lapse: str | None = None
    resurrection: str | None = None
    lapsed_at: datetime | None = None
    patience_over_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None
    end_reason: str | None = None
    lapse_judged_at: datetime | None = None
    lapses: int = 0
    resumed_at: datetime | None = None
    seat: int | None = None
    seats: int | None = None


class Sessions(Fold[SessionRow]):
    """One row per session heard of; one that only sent heartbeats has no state yet."""

    name = "sessions"
    question = "Who uses which license, since when, and when was the last sign of life?"
    follows: ClassVar = {
        Log.LICENSING: (SessionStarted.TOPIC, SessionEnded.TOPIC, SessionLapsed.TOPIC, SessionResumed.TOPIC),
        Log.HEARTBEATS: (HeartbeatsReceived.TOPIC, WatermarkPassed.TOPIC, BlindWindowPassed.TOPIC),
    }
    table: ClassVar[sa.Table] = tables.SESSIONS
    shape = SessionRow

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """The sessions, the heartbeats that broke a silence, how far log time has come, and when it jumped."""
        return (tables.SESSIONS, tables.SESSION_RETURNS, tables.LOG_TIME, tables.BLIND_WINDOWS)

    def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
        """Fold transitions row by row; take heartbeats, watermarks and blind windows in bulk."""
        bulk = (HeartbeatsReceived, WatermarkPassed, BlindWindowPassed)
        if (until := record_windows(connection, events)) is not None:
            forget(connection, until)
        count_heartbeats(connection, events)
        watermarks = [recorded.event for recorded in events if isinstance(recorded.event, WatermarkPassed)]
        advance_log_time(connection, watermarks)
        super().apply(connection, [recorded for recorded in events if not isinstance(recorded.event, bulk)])
        settle(connection, [each.event.session_id for each in events if isinstance(each.event, SessionStarted)])

    def key(self, event: Event) -> Key:
        """The session."""
        return (event.originator_id.removeprefix("session-"),)

    def fold(self, row: SessionRow, recorded: Recorded) -> None:
        """Follow the session by one transition."""
        event = recorded.event
        match event:
            case SessionStarted():
                row.license_id, row.host, row.started_at = event.license_id, event.host, event.timestamp
                row.state = SessionState.ACTIVE.value
                row.seat, row.seats = event.seat, event.seats
                _follow_rules(row, event.rules)
            case SessionEnded():
                row.state, row.ended_at, row.end_reason = SessionState.ENDED.value, event.timestamp, event.reason
                row.ended_by = recorded.metadata.get("actor")
                row.lapsed_at = row.patience_over_at = None
            case SessionLapsed():
                row.state = SessionState.LAPSED.value
                row.lapsed_at, row.lapse_judged_at = event.timestamp, event.judged_at
                row.patience_over_at = event.patience_over_at or event.timestamp + timedelta(
                    seconds=row.patience_seconds or 0
                )
                row.ended_at = None if row.on_lapse == OnLapse.KEEP else event.timestamp
                row.lapses += 1
            case SessionResumed():
                row.state, row.resumed_at = SessionState.ACTIVE.value, event.timestamp
                row.lapsed_at = row.patience_over_at = row.ended_at = None
                if event.seat is not None:
                    row.seat, row.seats = event.seat, event.seats


def _follow_rules(row: SessionRow, rules: SessionRules) -> None:
    row.policy, row.patience_seconds = rules.policy, rules.patience_seconds
    row.heartbeat_interval_seconds = rules.heartbeat_interval_seconds
    row.monitoring_starts, row.on_lapse = rules.monitoring_starts.value, rules.on_lapse.value
    row.resurrection = rules.resurrection.value

"""Sessions: who uses which license, since when, and when was the last sign of life?

Two logs feed one table and never touch the same column: transitions come from the licensing log, heartbeats and log
time from the heartbeats log. So the two may be followed at any pace relative to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from domain.session import SessionEnded, SessionLapsed, SessionResumed, SessionStarted, SessionState
from infra.event_store import Log, Recorded
from projections import tables
from projections.heartbeats import advance_log_time, count_heartbeats
from projections.projection import Fold
from projections.rows import Key


class SessionRow(msgspec.Struct):
    """What transitions tell: the columns of ``read_model.sessions`` that come from the licensing log."""

    session_id: str
    license_id: str | None = None
    state: str | None = None
    host: str | None = None
    started_at: datetime | None = None
    patience_seconds: float | None = None
    ended_at: datetime | None = None
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
        Log.HEARTBEATS: (HeartbeatsReceived.TOPIC, WatermarkPassed.TOPIC),
    }
    table: ClassVar[sa.Table] = tables.SESSIONS
    shape = SessionRow

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """The sessions, the heartbeats that broke a silence, and how far log time has come."""
        return (tables.SESSIONS, tables.SESSION_RETURNS, tables.LOG_TIME)

    def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
        """Fold transitions row by row; take heartbeats and watermarks in bulk."""
        bulk = (HeartbeatsReceived, WatermarkPassed)
        count_heartbeats(connection, events)
        watermarks = [recorded.event for recorded in events if isinstance(recorded.event, WatermarkPassed)]
        advance_log_time(connection, watermarks)
        super().apply(connection, [recorded for recorded in events if not isinstance(recorded.event, bulk)])

    def key(self, event: Event) -> Key:
        """The session."""
        return (event.originator_id.removeprefix("session-"),)

    def fold(self, row: SessionRow, recorded: Recorded) -> None:
        """Follow the session by one transition."""
        event = recorded.event
        match event:
            case SessionStarted():
                row.license_id, row.host = event.license_id, event.host
                row.patience_seconds, row.started_at = event.patience_seconds, event.timestamp
                row.state = SessionState.ACTIVE.value
                row.seat, row.seats = event.seat, event.seats
            case SessionEnded():
                row.state, row.ended_at, row.end_reason = SessionState.ENDED.value, event.timestamp, event.reason
            case SessionLapsed():
                row.state, row.ended_at = SessionState.LAPSED.value, event.timestamp
                row.lapse_judged_at = event.judged_at
                row.lapses += 1
            case SessionResumed():
                row.state, row.ended_at, row.resumed_at = SessionState.ACTIVE.value, None, event.timestamp
                if event.seat is not None:
                    row.seat, row.seats = event.seat, event.seats

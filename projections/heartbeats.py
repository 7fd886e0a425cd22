"""Heartbeats, in bulk: the columns of the sessions table that come from the heartbeats log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from projections.returns import Heard
from projections.rows import unnested
from projections.tables import LOG_TIME, SESSIONS


def last_heard(batches: Iterable[tuple[HeartbeatsReceived, datetime]]) -> dict[str, datetime]:
    """When a heartbeat was last recorded of each session, news or not; of batches, each with when it was recorded."""
    heard: dict[str, datetime] = {}
    for batch, recorded_at in sorted(batches, key=itemgetter(1)):
        heard.update(dict.fromkeys(batch.session_ids, recorded_at))
    return heard


def count_heartbeats(connection: sa.Connection, found: Sequence[Heard], heard: Mapping[str, datetime]) -> None:
    """Move ``last_heartbeat_at``, ``heartbeat_count`` and ``last_heard_at`` on, in one statement.

    Args:
        connection: in the caller's transaction.
        found: the heartbeats that advance their session within the batch; every session of it is among them.
        heard: when each session was last heard of.
    """
    if found:
        session_ids, moments, _ = zip(*found, strict=True)
        recorded = [heard[session_id] for session_id in session_ids]
        connection.execute(_COUNTING, {"p0": list(session_ids), "p1": list(moments), "p2": recorded})


def advance_log_time(connection: sa.Connection, watermarks: Sequence[WatermarkPassed]) -> None:
    """Move log time to the latest of ``watermarks``, unless it is there."""
    if watermarks:
        statement = insert(LOG_TIME).values(log_time=max(watermark.timestamp for watermark in watermarks))
        later = {"log_time": sa.func.greatest(LOG_TIME.c.log_time, statement.excluded.log_time)}
        connection.execute(statement.on_conflict_do_update(index_elements=["is_only_row"], set_=later))


def _counting() -> sa.Executable:
    beat = unnested((SESSIONS.c.session_id, SESSIONS.c.last_heartbeat_at, SESSIONS.c.last_heard_at))
    known = SESSIONS.alias("known")
    is_news = sa.or_(known.c.last_heartbeat_at.is_(None), beat.c.last_heartbeat_at > known.c.last_heartbeat_at)
    counted = (
        sa.select(
            beat.c.session_id,
            sa.func.max(beat.c.last_heartbeat_at),
            sa.func.max(beat.c.last_heard_at),
            sa.func.count().filter(is_news),
        )
        .select_from(beat.outerjoin(known, known.c.session_id == beat.c.session_id))
        .group_by(beat.c.session_id)
    )
    columns = ["session_id", "last_heartbeat_at", "last_heard_at", "heartbeat_count"]
    statement = insert(SESSIONS).from_select(columns, counted)
    latest = {
        column.name: sa.func.greatest(column, statement.excluded[column.name])
        for column in (SESSIONS.c.last_heartbeat_at, SESSIONS.c.last_heard_at)
    }
    moved = {**latest, "heartbeat_count": SESSIONS.c.heartbeat_count + statement.excluded.heartbeat_count}
    return statement.on_conflict_do_update(index_elements=["session_id"], set_=moved)


_COUNTING: Final = _counting()

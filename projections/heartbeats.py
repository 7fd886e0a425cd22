"""Heartbeats, in bulk: the columns of the sessions table that come from the heartbeats log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.heartbeat import WatermarkPassed
from projections.returns import Heard
from projections.rows import unnested
from projections.tables import LOG_TIME, SESSIONS


def count_heartbeats(connection: sa.Connection, found: Sequence[Heard]) -> None:
    """Move ``last_heartbeat_at`` and ``heartbeat_count`` on, in one statement.

    Args:
        connection: in the caller's transaction.
        found: the heartbeats that advance their session within the batch.
    """
    if found:
        session_ids, moments, _ = zip(*found, strict=True)
        connection.execute(_COUNTING, {"p0": list(session_ids), "p1": list(moments)})


def advance_log_time(connection: sa.Connection, watermarks: Sequence[WatermarkPassed]) -> None:
    """Move log time to the latest of ``watermarks``, unless it is there."""
    if watermarks:
        statement = insert(LOG_TIME).values(log_time=max(watermark.timestamp for watermark in watermarks))
        later = {"log_time": sa.func.greatest(LOG_TIME.c.log_time, statement.excluded.log_time)}
        connection.execute(statement.on_conflict_do_update(index_elements=["is_only_row"], set_=later))


def _counting() -> sa.Executable:
    beat = unnested((SESSIONS.c.session_id, SESSIONS.c.last_heartbeat_at))
    known = SESSIONS.alias("known")
    counted = (
        sa.select(beat.c.session_id, sa.func.max(beat.c.last_heartbeat_at), sa.func.count())
        .select_from(beat.outerjoin(known, known.c.session_id == beat.c.session_id))
        .where(sa.or_(known.c.last_heartbeat_at.is_(None), beat.c.last_heartbeat_at > known.c.last_heartbeat_at))
        .group_by(beat.c.session_id)
    )
    statement = insert(SESSIONS).from_select(["session_id", "last_heartbeat_at", "heartbeat_count"], counted)
    moved = {
        "last_heartbeat_at": statement.excluded.last_heartbeat_at,
        "heartbeat_count": SESSIONS.c.heartbeat_count + statement.excluded.heartbeat_count,
    }
    return statement.on_conflict_do_update(index_elements=["session_id"], set_=moved)


_COUNTING: Final = _counting()

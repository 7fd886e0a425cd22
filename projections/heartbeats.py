"""Heartbeats, in bulk: the columns of the sessions table that come from the heartbeats log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa
from psycopg.sql import SQL, Identifier
from sqlalchemy.dialects.postgresql import insert

from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from infra.event_store import Recorded
from projections.literals import array_literal
from projections.returns import SILENCE, let_go
from projections.rows import driver, schema_of
from projections.tables import LOG_TIME, SESSION_RETURNS, SESSIONS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STATEMENT: Final = Path(__file__).with_name("heartbeats.sql").read_text(encoding="utf-8")


class Advances(NamedTuple):
    """Heartbeats that may count, a column each; times are microseconds since 1970.

    Attributes:
        session_ids: whose.
        heartbeats: its own time.
        before: the one before it of the same session among these, if there is one.
        log_times: log time at its place, as far as the page tells.
    """

    session_ids: list[str]
    heartbeats: list[int]
    before: list[int | None]
    log_times: list[int | None]


def advances(told: Iterable[object]) -> Advances:
    """The heartbeats that are newer than every earlier one of their session within ``told``, in order.

    A heartbeat counts when it is newer than the last one that counted. Only these can: whatever the last one before
    ``told`` was, a heartbeat that does not advance its session here would not have counted. Every session that is heard
    of is among them.

    Args:
        told: events of the heartbeats log; others are passed over.

    Raises:
        ValueError: a batch has more sessions than times, or the other way round.
    """
    newest: dict[str, int] = {}
    log_time: int | None = None
    found = Advances([], [], [], [])
    for event in told:
        if isinstance(event, WatermarkPassed):
            passed = microseconds(event.timestamp)
            log_time = passed if log_time is None else max(log_time, passed)
        elif isinstance(event, HeartbeatsReceived):
            _advance(found, newest, event, log_time)
    return found


def last_heard(batches: Iterable[tuple[HeartbeatsReceived, datetime]]) -> dict[str, int]:
    """When a heartbeat was last recorded of each session, news or not, in microseconds since 1970.

    Args:
        batches: each with when it was recorded.
    """
    heard: dict[str, int] = {}
    for batch, recorded_at in sorted(batches, key=lambda each: each[1]):
        heard.update(dict.fromkeys(batch.session_ids, microseconds(recorded_at)))
    return heard


def count_heartbeats(connection: sa.Connection, told: Sequence[Recorded]) -> None:
    """Move the sessions' heartbeats on by a page of the log, and keep those that broke a silence.

    Args:
        connection: in the caller's transaction.
        told: in order of position.
    """
    found = advances(map(attrgetter("event"), told))
    if not found.session_ids:
        return
    heard = last_heard((each.event, each.recorded_at) for each in told if isinstance(each.event, HeartbeatsReceived))
    columns: list[Sequence[object]] = [*found, [heard[session_id] for session_id in found.session_ids]]
    schema = schema_of(connection, SESSIONS)
    with driver(connection).cursor() as cursor:
        cursor.execute(_counting(schema), [*(array_literal(column) for column in columns), SILENCE], prepare=True)
        returned = [str(session_id) for (session_id,) in cursor]
    let_go(connection, returned)


def advance_log_time(connection: sa.Connection, watermarks: Sequence[WatermarkPassed]) -> None:
    """Move log time to the latest of ``watermarks``, unless it is there."""
    if watermarks:
        statement = insert(LOG_TIME).values(log_time=max(watermark.timestamp for watermark in watermarks))
        later = {"log_time": sa.func.greatest(LOG_TIME.c.log_time, statement.excluded.log_time)}
        connection.execute(statement.on_conflict_do_update(index_elements=["is_only_row"], set_=later))


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _advance(found: Advances, newest: dict[str, int], batch: HeartbeatsReceived, log_time: int | None) -> None:
    first = microseconds(batch.timestamp)
    session_ids, heartbeats, before, log_times = found
    for session_id, offset_ms in zip(batch.session_ids, batch.offsets_ms, strict=True):
        heartbeat = first + offset_ms * 1000
        known = newest.get(session_id)
        if known is None or heartbeat > known:
            newest[session_id] = heartbeat
            session_ids.append(session_id)
            heartbeats.append(heartbeat)
            before.append(known)
            log_times.append(log_time)


@lru_cache
def _counting(schema: str) -> bytes:
    places = {"sessions": SESSIONS, "returns": SESSION_RETURNS, "log_time": LOG_TIME}
    named = {name: Identifier(schema, table.name) for name, table in places.items()}
    return SQL(_STATEMENT).format(**named).as_bytes()

"""Heartbeats, in bulk: the columns of the sessions table that come from the heartbeats log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier
from sqlalchemy.dialects.postgresql import insert

from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from infra.event_store import Recorded
from projections.by_index import by_index
from projections.heard import Heard, Standing, hear, stand
from projections.literals import array_literal
from projections.moments import NEVER, Moments, microseconds, takes_moments
from projections.returns import SILENCE, keep, let_go
from projections.rows import driver, schema_of
from projections.tables import LOG_TIME, SESSIONS

_HERE: Final = Path(__file__).parent
_MOVE: Final = (_HERE / "heartbeats.sql").read_text(encoding="utf-8")
_MEET: Final = (_HERE / "heartbeats_met.sql").read_text(encoding="utf-8")
_LOG_TIME: Final = "select log_time from {log_time}"
_LAST: Final = "select session_id, last_heartbeat_at from {sessions} where session_id = any(%s::text[])"


class Given(NamedTuple):
    """The parameters of ``heartbeats.sql``: a column each, and how long a silence is."""

    session_ids: str
    heartbeats: Moments
    recorded: Moments
    log_times: Moments
    returned: Moments
    returned_before: Moments
    news: str
    silence: timedelta


def count_heartbeats(connection: sa.Connection, told: Sequence[Recorded]) -> None:
    """Move the sessions' heartbeats on by a page of the log, and keep those that broke a silence.

    Args:
        connection: in the caller's transaction.
        told: in order of position.
    """
    if not any(isinstance(recorded.event, HeartbeatsReceived) for recorded in told):
        return
    schema = schema_of(connection, SESSIONS)
    with by_index(driver(connection)), driver(connection).cursor() as cursor:
        takes_moments(cursor)
        heard = hear(told, log_time=_log_time(cursor, schema))
        _count(cursor, connection, heard, schema)


def advance_log_time(connection: sa.Connection, watermarks: Sequence[WatermarkPassed]) -> None:
    """Move log time to the latest of ``watermarks``, unless it is there."""
    if watermarks:
        statement = insert(LOG_TIME).values(log_time=max(watermark.timestamp for watermark in watermarks))
        later = {"log_time": sa.func.greatest(LOG_TIME.c.log_time, statement.excluded.log_time)}
        connection.execute(statement.on_conflict_do_update(index_elements=["is_only_row"], set_=later))


def _count(cursor: psycopg.Cursor[Any], connection: sa.Connection, heard: Heard, schema: str) -> None:
    last = _last(cursor, schema, list(heard.repeated))
    standings = {session_id: stand(beats, last=last.get(session_id)) for session_id, beats in heard.repeated.items()}
    given = _given(heard, standings, last)
    ((moved, returned),) = cursor.execute(_in(schema, _MOVE), given, prepare=True).fetchall()
    met: set[str] = set()
    if moved < len(heard.session_ids) + len(standings):
        met = {session_id for (session_id,) in cursor.execute(_in(schema, _MEET), given[:-1])}
    once = dict(zip(heard.session_ids, heard.at, strict=True)) if returned or met else {}
    returns = [(session_id, once[session_id]) for session_id in {*(returned or ()), *met} if session_id in once]
    returns += [(session_id, beat) for session_id, standing in standings.items() for beat in standing.returns]
    keep(connection, returns)
    let_go(connection, sorted({session_id for session_id, _ in returns} - (met & once.keys())))


def _given(heard: Heard, standings: Mapping[str, Standing], last: Mapping[str, int | None]) -> Given:
    """Those heard of more than once come first: so columns that say something of them alone can end with them."""
    folded = standings.values()
    return Given(
        array_literal([*standings, *heard.session_ids]),
        Moments([standing.last for standing in folded] + heard.at),
        Moments([standing.heard_at for standing in folded] + heard.recorded_at),
        Moments([NEVER] * len(standings) + heard.log_times),
        Moments(standing.returns[-1] if standing.returns else standing.last for standing in folded),
        Moments((last.get(session_id) or 0) + bool(standing.returns) for session_id, standing in standings.items()),
        array_literal([standing.news for standing in folded]),
        SILENCE,
    )


def _last(cursor: psycopg.Cursor[Any], schema: str, session_ids: Sequence[str]) -> dict[str, int | None]:
    """The last heartbeat of each of these sessions that the table knows, in microseconds since 2000."""
    if not session_ids:
        return {}
    found = cursor.execute(_in(schema, _LAST), [array_literal(session_ids)], prepare=True).fetchall()
    return {session_id: None if last is None else microseconds(last) for session_id, last in found}


def _log_time(cursor: psycopg.Cursor[Any], schema: str) -> int:
    row = cursor.execute(_in(schema, _LOG_TIME)).fetchone()
    return NEVER if row is None else microseconds(row[0])


@lru_cache
def _in(schema: str, statement: str) -> bytes:
    """A statement on the tables of a schema."""
    named = {"sessions": Identifier(schema, SESSIONS.name), "log_time": Identifier(schema, LOG_TIME.name)}
    return SQL(statement).format(**named).as_bytes()

"""Heartbeats, in bulk: the columns of the sessions table that come from the heartbeats log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
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
from projections.heard import Heard, hear
from projections.literals import array_literal
from projections.moments import NEVER, Moments, microseconds, takes_moments
from projections.returns import Return, fill, keep
from projections.rows import driver, schema_of
from projections.standing import Before, Standing, silent_since, stand
from projections.tables import LOG_TIME, SESSIONS

_HERE: Final = Path(__file__).parent
_MOVE: Final = (_HERE / "heartbeats.sql").read_text(encoding="utf-8")
_MEET: Final = (_HERE / "heartbeats_met.sql").read_text(encoding="utf-8")
_LOG_TIME: Final = "select log_time from {log_time}"
_BEFORE: Final = """
    select session_id, last_heartbeat_at, last_heard_at, back_at from {sessions}
    where session_id = any(%s::text[]) and last_heartbeat_at is not null
"""
ALWAYS: Final = 2**63 - 1
"""Later than every moment; PostgreSQL's ``infinity``."""
_SECOND: Final = 1_000_000


class Given(NamedTuple):
    """The parameters of ``heartbeats.sql``, a column each; those from ``news`` on are shorter."""

    session_ids: str
    heartbeats: Moments
    recorded: Moments
    returned: Moments
    returned_before: Moments
    news: str
    late: str
    future: str
    repeated: str
    out_of_order: str
    least_delays: str
    last_delays: str
    silent_since: Moments
    silent_heard: Moments
    back: Moments


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
    before = _before(cursor, schema, list(heard.folded))
    folded = [
        stand(session_id, beats, before=before.get(session_id, Before())) for session_id, beats in heard.folded.items()
    ]
    given = _given(heard, folded)
    found = cursor.execute(_in(schema, _MOVE), given, prepare=True).fetchall()
    silences = [_Met(*row) for _, *row in found if row[0] is not None]
    if found[0][0] < len(heard.session_ids) + len(folded):
        met = {session_id for (session_id,) in cursor.execute(_in(schema, _MEET), given)}
        silences += [_Met(session_id) for session_id in met - heard.folded.keys()]
    told = _places(heard) if silences else {}
    filled = {each.session_id: told[each.session_id][0] for each in silences if each.is_back}
    fill(connection, filled | {each.session_id: each.filled_at for each in folded if each.filled_at is not None})
    keep(
        connection,
        [
            *(each.returned(*told[each.session_id]) for each in silences if each.has_broken),
            *(each for standing in folded for each in standing.returns),
        ],
    )


class _Met(NamedTuple):
    """A session heard of once, by what broke a silence or was the first news since, and what was known before."""

    session_id: str
    last: datetime | None = None
    heard_at: datetime | None = None
    has_broken: bool = True
    is_back: bool = True

    def returned(self, at: int, log_time: int, recorded_at: int) -> Return:
        last, heard_at = _microseconds(self.last), _microseconds(self.heard_at)
        return Return(self.session_id, recorded_at, at if self.is_back else NEVER, last, heard_at, log_time)


def _places(heard: Heard) -> dict[str, tuple[int, int, int]]:
    """By session heard of once the time of its heartbeat, log time at its place, and when it was recorded."""
    return dict(zip(heard.session_ids, zip(heard.at, heard.log_times, heard.recorded_at, strict=True), strict=True))


def _given(heard: Heard, folded: Sequence[Standing]) -> Given:
    """Those that are folded come first: what is known of them alone then needs no value for the others."""
    latest = [each.returns[-1] if each.returns else None for each in folded]
    return Given(
        array_literal([*(each.session_id for each in folded), *heard.session_ids]),
        Moments([each.last for each in folded] + heard.at),
        Moments([each.heard_at for each in folded] + heard.recorded_at),
        Moments([each.recorded_at if each else NEVER for each in latest] + heard.recorded_at),
        Moments([ALWAYS if each else NEVER for each in latest] + silent_since(heard.log_times)),
        array_literal([each.news for each in folded]),
        array_literal([each.late for each in folded]),
        array_literal([each.future for each in folded]),
        array_literal([each.repeated for each in folded]),
        array_literal([each.out_of_order for each in folded]),
        array_literal([_seconds(each.least_delay) for each in folded]),
        array_literal([_seconds(each.last_delay) for each in folded]),
        Moments(each.last_at if each else NEVER for each in latest),
        Moments(each.heard_at if each else NEVER for each in latest),
        Moments(each.back_at for each in folded),
    )


def _before(cursor: psycopg.Cursor[Any], schema: str, session_ids: Sequence[str]) -> dict[str, Before]:
    """What the table knows of those of these sessions that it has heard of."""
    if not session_ids:
        return {}
    found = cursor.execute(_in(schema, _BEFORE), [array_literal(session_ids)], prepare=True).fetchall()
    return {session_id: Before(*map(_microseconds, known)) for session_id, *known in found}


def _log_time(cursor: psycopg.Cursor[Any], schema: str) -> int:
    row = cursor.execute(_in(schema, _LOG_TIME)).fetchone()
    return NEVER if row is None else microseconds(row[0])


def _microseconds(moment: datetime | None) -> int:
    return NEVER if moment is None else microseconds(moment)


def _seconds(delay: int | None) -> float | None:
    return None if delay is None else delay / _SECOND


@lru_cache
def _in(schema: str, statement: str) -> bytes:
    """A statement on the tables of a schema."""
    named = {"sessions": Identifier(schema, SESSIONS.name), "log_time": Identifier(schema, LOG_TIME.name)}
    return SQL(statement).format(**named).as_bytes()

"""Returns: silences that were broken and in which a session may have lapsed, so that it can be judged afterwards.

Whoever looks only now and then, or was away for days, misses silences that are over. So where a heartbeat finds log
time more than :data:`SILENCE` past the last sign of life of its session, both are kept, except where the session is
known to have more patience than that silence asked for. Sessions are started by another log: while a start is not known
every silence is kept, and once it is those are let go for which there was the patience. So the rows that are left are
the same in whatever order the logs are followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import sqlalchemy as sa
from psycopg.sql import SQL, Identifier

from projections.blindness import LONGEST_SILENCE
from projections.literals import array_literal
from projections.moments import Moments, takes_moments
from projections.rows import driver, schema_of
from projections.tables import BLIND_WINDOWS, SESSION_RETURNS, SESSIONS

SILENCE: Final = timedelta(seconds=90)
"""A gap longer than this is a silence. Of a session with less patience than this, shorter ones are not seen afterwards:
it lapses only where somebody looks in time, and its latest heartbeat stands for its return."""
KEPT: Final = timedelta(days=8)
"""Returns of a session that lie this long before its latest silence are let go; for so long the sweep may be away."""

_OF_THE_SESSION: Final = LONGEST_SILENCE.format(
    since="coalesce(greatest(r.last_heartbeat_at, r.heard_at), s.started_at)", until="r.log_time", windows="{windows}"
)
_MATTERS: Final = f"""
    {_OF_THE_SESSION} > case when r.last_heartbeat_at is null then coalesce(s.patience_seconds, -1)
                             else greatest(s.patience_seconds, {SILENCE.total_seconds()}) end
"""
_KEEPING: Final = f"""
    insert into {{returns}} (session_id, recorded_at, heartbeat_at, last_heartbeat_at, heard_at, log_time)
    select r.*
    from (
        select session_id, recorded_at, nullif(heartbeat_at, '-infinity') as heartbeat_at,
               nullif(last_at, '-infinity') as last_heartbeat_at,
               nullif(heard_at, '-infinity') as heard_at, nullif(log_time, '-infinity') as log_time
        from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
                    %s::timestamptz[]) as given (session_id, recorded_at, heartbeat_at, last_at, heard_at, log_time)
    ) r
    left join {{sessions}} s using (session_id)
    where {_MATTERS}
    on conflict do nothing
"""  # noqa: S608  constants
_SETTLING: Final = f"""
    delete from {{returns}} r
    using {{sessions}} s
    where s.session_id = r.session_id and s.session_id = any(%s::text[]) and not ({_MATTERS})
"""  # noqa: S608
_FORGETTING: Final = f"""
    delete from {{returns}} r
    using {{sessions}} s
    where s.session_id = r.session_id and r.log_time < %s and not ({_MATTERS})
"""  # noqa: S608
_LETTING_GO: Final = """
    delete from {returns} old
    using {sessions} s
    where s.session_id = any(%s::text[]) and old.session_id = s.session_id and old.recorded_at < s.returned_at - %s
"""


_FILLING: Final = """
    update {returns} r set heartbeat_at = given.heartbeat_at
    from unnest(%s::text[], %s::timestamptz[]) as given (session_id, heartbeat_at)
    where r.session_id = given.session_id and r.heartbeat_at is null
"""


class Return(NamedTuple):
    """A silence that was broken; times are microseconds since 2000, NEVER where there was nothing.

    Attributes:
        session_id: whose.
        recorded_at: when the heartbeat was recorded that broke it.
        heartbeat_at: the first heartbeat since, that one included, that was news: with it a lapsed session comes back.
        last_at: the newest one before it.
        heard_at: when one was last recorded before it, news or not.
        log_time: how far log time had come at its place.
    """

    session_id: str
    recorded_at: int
    heartbeat_at: int
    last_at: int
    heard_at: int
    log_time: int


def fill(connection: sa.Connection, news: Mapping[str, int]) -> None:
    """Say of silences that a heartbeat broke which was no news, which was the first news since.

    Args:
        connection: in the caller's transaction.
        news: by session, in microseconds since 2000.
    """
    if news:
        with driver(connection).cursor() as cursor:
            takes_moments(cursor)
            statement = _in(schema_of(connection, SESSION_RETURNS), _FILLING)
            cursor.execute(statement, [array_literal(list(news)), Moments(news.values())], prepare=True)


def keep(connection: sa.Connection, returns: Iterable[Return]) -> None:
    """Remember the returns that matter, and forget old ones of the same sessions; in the caller's transaction."""
    if columns := list(zip(*returns, strict=True)):
        session_ids, *moments = columns
        with driver(connection).cursor() as cursor:
            takes_moments(cursor)
            given = [array_literal(session_ids), *map(Moments, moments)]
            cursor.execute(_in(schema_of(connection, SESSION_RETURNS), _KEEPING), given, prepare=True)
            gone = [array_literal(list(set(session_ids))), KEPT]
            cursor.execute(_in(schema_of(connection, SESSION_RETURNS), _LETTING_GO), gone, prepare=True)


def forget(connection: sa.Connection, until: datetime) -> None:
    """Forget returns from silences in a blind window without a begin, that is known only now to end at ``until``."""
    driver(connection).execute(_in(schema_of(connection, SESSION_RETURNS), _FORGETTING), [until], prepare=True)


def settle(connection: sa.Connection, session_ids: Sequence[str]) -> None:
    """Forget returns from silences that these sessions, which are now known to have started, had the patience for."""
    if session_ids:
        statement = _in(schema_of(connection, SESSION_RETURNS), _SETTLING)
        driver(connection).execute(statement, [array_literal(session_ids)], prepare=True)


@lru_cache
def _in(schema: str, statement: str) -> bytes:
    """A statement on the tables of a schema."""
    places = {"returns": SESSION_RETURNS, "sessions": SESSIONS, "windows": BLIND_WINDOWS}
    return SQL(statement).format(**{name: Identifier(schema, table.name) for name, table in places.items()}).as_bytes()

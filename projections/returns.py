"""Returns: the heartbeats that broke a silence, so that a lapsed session can be asked about the first one it sent.

Whether a session lapsed is told by another log. So these are found without knowing of lapses, from the heartbeats log
alone: a session lapses when log time is more than its patience past its last heartbeat, hence the next heartbeat to be
counted finds log time that far ahead. Each one that finds it more than :data:`SILENCE` ahead is kept
(:mod:`projections.heartbeats`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final

import sqlalchemy as sa
from psycopg.sql import SQL, Identifier

from projections.literals import array_literal
from projections.moments import Moments, takes_moments
from projections.rows import driver, schema_of
from projections.tables import SESSION_RETURNS

SILENCE: Final = timedelta(seconds=90)
"""A gap longer than this is a silence. A session that sends heartbeats less often has every one kept for :data:`KEPT`;
of one with less patience than this, returns from shorter silences are not seen: its latest heartbeat stands in."""
KEPT: Final = timedelta(days=1)
"""Returns of a session that lie this long before its latest one are let go."""

_KEEPING: Final = """
    insert into {returns} (session_id, heartbeat_at) select * from unnest(%s::text[], %s::timestamptz[])
    on conflict do nothing
"""
_LETTING_GO: Final = """
    delete from {returns} old
    using (
        select session_id, max(heartbeat_at) as heartbeat_at
        from {returns}
        where session_id = any(%s::text[])
        group by session_id
    ) latest
    where old.session_id = latest.session_id and old.heartbeat_at < latest.heartbeat_at - %s
"""


def keep(connection: sa.Connection, returns: Iterable[tuple[str, int]]) -> None:
    """Remember returns.

    Args:
        connection: in the caller's transaction.
        returns: each a session and the time of its heartbeat, in microseconds since 2000.
    """
    if columns := list(zip(*returns, strict=True)):
        session_ids, moments = columns
        with driver(connection).cursor() as cursor:
            takes_moments(cursor)
            statement = _in(schema_of(connection, SESSION_RETURNS), _KEEPING)
            cursor.execute(statement, [array_literal(session_ids), Moments(moments)], prepare=True)


def let_go(connection: sa.Connection, session_ids: Sequence[str]) -> None:
    """Forget old returns of these sessions, each of which has got a new one."""
    if session_ids:
        statement = _in(schema_of(connection, SESSION_RETURNS), _LETTING_GO)
        driver(connection).execute(statement, [array_literal(session_ids), KEPT], prepare=True)


@lru_cache
def _in(schema: str, statement: str) -> bytes:
    """A statement on the table of a schema."""
    return SQL(statement).format(returns=Identifier(schema, SESSION_RETURNS.name)).as_bytes()

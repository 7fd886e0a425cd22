"""Returns: the heartbeats that broke a silence, so that a lapsed session can be asked about the first one it sent.

Whether a session lapsed is told by another log. So these are found without knowing of lapses, from the heartbeats log
alone: a session lapses when log time is more than its patience past its last heartbeat, hence the next heartbeat to be
counted finds log time that far ahead. Each one that finds it more than :data:`SILENCE` ahead is kept
(``heartbeats.sql``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final

import sqlalchemy as sa
from psycopg.sql import SQL, Identifier

from projections.literals import array_literal
from projections.rows import driver, schema_of
from projections.tables import SESSION_RETURNS

SILENCE: Final = timedelta(seconds=90)
"""A gap longer than this is a silence. A session that sends heartbeats less often has every one kept for :data:`KEPT`;
of one with less patience than this, returns from shorter silences are not seen: its latest heartbeat stands in."""
KEPT: Final = timedelta(days=1)
"""Returns of a session that lie this long before its latest one are let go."""

_LETTING_GO: Final = SQL("""
    delete from {returns} old
    using (
        select session_id, max(heartbeat_at) as heartbeat_at
        from {returns}
        where session_id = any(%s::text[])
        group by session_id
    ) latest
    where old.session_id = latest.session_id and old.heartbeat_at < latest.heartbeat_at - %s
""")


def let_go(connection: sa.Connection, session_ids: Sequence[str]) -> None:
    """Forget old returns of these sessions, each of which has got a new one."""
    if session_ids:
        statement = _letting_go(schema_of(connection, SESSION_RETURNS))
        driver(connection).execute(statement, [array_literal(session_ids), KEPT], prepare=True)


@lru_cache
def _letting_go(schema: str) -> bytes:
    return _LETTING_GO.format(returns=Identifier(schema, SESSION_RETURNS.name)).as_bytes()

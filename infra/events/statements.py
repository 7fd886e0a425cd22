"""The statements by which people's questions about a log are answered; each goes by an index."""

from __future__ import annotations

from functools import cache
from typing import Final, LiteralString

from psycopg.sql import SQL, Identifier

from infra.event_store.log import Log
from infra.event_store.log_table import SCHEMA

_COLUMNS: Final = "position, stream_id, version, name, data::text, metadata::text, event_id, occurred_at, recorded_at"
_MATCHES: Final = """
    (%(names)s::text[] is null or name like any(%(names)s::text[]))
    and (%(prefix)s::text is null or starts_with(stream_id, %(prefix)s::text))
    and (%(since)s::timestamptz is null or recorded_at >= %(since)s::timestamptz)
"""
STRETCH: Final = f"""
    select {_COLUMNS} from {{table}}
    where position > %(after)s and position <= %(upto)s and {_MATCHES}
    order by position {{order}} limit %(limit)s
"""  # noqa: S608  constants
BY_TIME: Final = f"""
    with stretch as (
        select * from {{table}}
        where (recorded_at, position) > (%(recorded_at)s, %(position)s) and position <= %(upto)s
        order by recorded_at, position limit %(stretch)s
    )
    select {_COLUMNS} from stretch where {_MATCHES} order by recorded_at, position limit %(limit)s
"""  # noqa: S608
LAST_BY_TIME: Final = """
    select recorded_at, position from {table}
    where (recorded_at, position) > (%(recorded_at)s, %(position)s) and position <= %(upto)s
    order by recorded_at, position offset %(stretch)s - 1 limit 1
"""
EVENT: Final = f"select {_COLUMNS} from {{table}} where event_id = %(event_id)s and position <= %(upto)s"  # noqa: S608
STREAM: Final = f"""
    select {_COLUMNS} from {{table}}
    where stream_id = %(stream_id)s and version > %(after)s and position <= %(upto)s
    order by version limit %(limit)s
"""  # noqa: S608
CORRELATION: Final = f"""
    select {_COLUMNS} from {{table}}
    where metadata->>'correlation_id' = %(correlation_id)s and position <= %(upto)s
    order by position limit %(limit)s
"""  # noqa: S608
KNOWN_STREAMS: Final = "select distinct stream_id from {table} where stream_id = any(%(stream_ids)s)"
NEXT: Final = "select position from {table} where position > %(after)s order by position limit 1"
HALVED: Final = """
    with recursive halved (low, high) as (
        select 0::bigint, %(upto)s::bigint
        union all
        select
            case when is_early then following.position else low end,
            case when is_early then high else (low + high) / 2 end
        from halved
        left join lateral (
            select position, recorded_at from {table} where position > (low + high) / 2 order by position limit 1
        ) following on true
        cross join lateral (select coalesce(%(moment)s - following.recorded_at > %(margin)s, false) as is_early) found
        where low < high
    )
    select least(low, %(upto)s::bigint) from halved where low >= high
"""
PREVIOUS: Final = "select max(position) from {table} where position <= %(upto)s"


@cache
def on(query: LiteralString, log: Log, *, order: LiteralString = "asc") -> bytes:
    """A statement about one log.

    Args:
        query: one of this module's.
        log: which log.
        order: of positions, where the statement asks for it: ``asc`` or ``desc``.
    """
    return SQL(query).format(table=Identifier(SCHEMA, log.table), order=SQL(order)).as_bytes()

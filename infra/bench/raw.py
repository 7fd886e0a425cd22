"""The limit: the same rows into a table of the same columns and indexes, by plain psycopg, with nothing of ours.

The table is made ``like`` the log with all it has but its triggers. Rows are made before the clock runs, so the limit
is what the driver and the server need for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from infra.bench.contest import Contender
from infra.event_store import Log, NewEvent
from infra.event_store.mapper import EventMapper

SCHEMA: Final = "bench"
_COLUMNS: Final = sql.SQL("stream_id, version, name, data, metadata, event_id, occurred_at")
_BATCH: Final = sql.SQL("""
    insert into {table} ({columns}) select s, v, n, d::jsonb, m::jsonb, e, o
    from unnest(%b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::uuid[], %b::timestamptz[])
        as row (s, v, n, d, m, e, o)
""")
_SINGLE: Final = sql.SQL("""
    insert into {table} ({columns})
    values (%b::text, %b::bigint, %b::text, %b::text::jsonb, %b::text::jsonb, %b::uuid, %b::timestamptz)
""")

Connection = psycopg.Connection[tuple[Any, ...]]


class Source(NamedTuple):
    """What is written where.

    Attributes:
        log: whose columns and indexes.
        events: makes so many events.
    """

    log: Log
    events: Callable[[int], list[NewEvent]]


def make_tables(connection: Connection) -> None:
    """A table like each log, once."""
    connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))
    for log in Log:
        connection.execute(
            sql.SQL("create table if not exists {} (like {} including all)").format(
                raw_table(log), sql.Identifier("event_store", log.table)
            )
        )


def raw_table(log: Log) -> sql.Identifier:
    """The table that is like the log."""
    return sql.Identifier(SCHEMA, f"raw_{log.table}")


class RawWriter:
    """Plain inserts, each thread on a connection of its own."""

    def __init__(self, url: str, source: Source) -> None:
        names = {"table": raw_table(source.log), "columns": _COLUMNS}
        self._batch = _BATCH.format(**names).as_bytes()
        self._single = _SINGLE.format(**names).as_bytes()
        self._url = url
        self._source = source
        self._mapper = EventMapper()
        self._thread = threading.local()

    def prepare(self, size: int) -> list[list[Any]]:
        """Columns of so many rows; a row's values, each a list of one, where it is one."""
        rows = [self._mapper.values(new) for new in self._source.events(size)]
        return [list(column) for column in zip(*rows, strict=True)]

    def commit(self, prepared: list[list[Any]]) -> None:
        """One statement, one commit."""
        with self._connection().cursor(binary=True) as cursor:
            if len(prepared[0]) == 1:
                cursor.execute(self._single, [value for (value,) in prepared], prepare=True)
            else:
                cursor.execute(self._batch, prepared, prepare=True)

    def close(self) -> None:
        """Nothing: connections end with their process."""

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = psycopg.connect(self._url, autocommit=True, options="-c jit=off")
            self._thread.connection = connection
        return connection


def raw(source: Source, *, processes: int = 1, threads: int = 1, part: float = 1.0) -> Contender:
    """So many plain writers."""
    return Contender(partial(RawWriter, source=source), processes, threads, part)

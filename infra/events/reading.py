"""Reading logs the way people ask: by event, by stream, by story, by time. Never past the safe position."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import args_row
from psycopg.sql import SQL, Identifier

from infra.event_store.log import Log
from infra.event_store.log_table import SCHEMA, Found, LogTable

STRETCH_POSITIONS: Final = 5_000
"""Positions that one statement looks at, at most: however rarely a filter matches, each takes milliseconds."""
CLOCK_MARGIN: Final = timedelta(seconds=5)
"""By how much ``recorded_at`` may run against the order of positions: concurrent writers, a clock that was set."""

_COLUMNS: Final = "position, stream_id, version, name, data::text, metadata::text, event_id, occurred_at, recorded_at"
_MATCHES: Final = """
    (%(names)s::text[] is null or name like any(%(names)s::text[]))
    and (%(prefix)s::text is null or starts_with(stream_id, %(prefix)s::text))
    and (%(since)s::timestamptz is null or recorded_at >= %(since)s::timestamptz)
"""
_STRETCH: Final = f"""
    select {_COLUMNS} from {{table}}
    where position > %(after)s and position <= %(upto)s and {_MATCHES}
    order by position {{order}} limit %(limit)s
"""  # noqa: S608  constants
_EVENT: Final = f"select {_COLUMNS} from {{table}} where event_id = %(event_id)s and position <= %(upto)s"  # noqa: S608
_STREAM: Final = f"""
    select {_COLUMNS} from {{table}}
    where stream_id = %(stream_id)s and version > %(after)s and position <= %(upto)s
    order by version limit %(limit)s
"""  # noqa: S608
_CORRELATION: Final = f"""
    select {_COLUMNS} from {{table}}
    where metadata->>'correlation_id' = %(correlation_id)s and position <= %(upto)s
    order by position limit %(limit)s
"""  # noqa: S608
_KNOWN_STREAMS: Final = "select distinct stream_id from {table} where stream_id = any(%(stream_ids)s)"
_NEXT: Final = "select position from {table} where position > %(after)s order by position limit 1"
_HALVED: Final = """
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
_PREVIOUS: Final = "select max(position) from {table} where position <= %(upto)s"


class Logged(NamedTuple):
    """An event as a log has it, readable by this version of the code or not."""

    log: Log
    row: Found

    @property
    def correlation_id(self) -> str | None:
        """The story it belongs to."""
        found: str | None = msgspec.json.decode(self.row.metadata).get("correlation_id")
        return found

    def as_values(self) -> dict[str, Any]:
        """All columns, for programs; ``data`` and ``metadata`` are JSON as it is stored."""
        told = self.row._asdict()
        told["data"], told["metadata"] = msgspec.Raw(self.row.data.encode()), msgspec.Raw(self.row.metadata.encode())
        return {"log": self.log.value, **told}


class Which(NamedTuple):
    """Which events of a log somebody wants to see; everything that is not given is not asked for.

    Attributes:
        names: their names, each with ``*`` for any characters.
        stream_prefix: how their stream's id begins.
        since: recorded then or later.
    """

    names: tuple[str, ...] = ()
    stream_prefix: str | None = None
    since: datetime | None = None

    def has(self, logged: Logged) -> bool:
        """Whether the event is one of them."""
        row = logged.row
        return (
            (not self.names or any(_is_like(row.name, pattern) for pattern in self.names))
            and row.stream_id.startswith(self.stream_prefix or "")
            and (self.since is None or row.recorded_at >= self.since)
        )

    def as_parameters(self) -> dict[str, Any]:
        """For the statements."""
        patterns = [_like(name) for name in self.names]
        return {"names": patterns or None, "prefix": self.stream_prefix, "since": self.since}


class LogReader:
    """Statements about all logs on one connection, in autocommit. Each is bounded and goes by an index."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._tables = {log: LogTable(log.table) for log in Log}

    def safe_position(self, log: Log) -> int:
        """The log is final up to here."""
        return self._tables[log].safe_position(self._connection)

    def after(self, log: Log, position: int, *, upto: int, limit: int, which: Which) -> tuple[list[Logged], int]:
        """Up to ``limit`` events after a position, in order, from one stretch of the log.

        Returns:
            the events, and the position up to which everything has been looked at; ``upto`` when there is no more.
        """
        end = min(upto, position + max(limit, STRETCH_POSITIONS))
        values = {"after": position, "upto": end, "limit": limit, **which.as_parameters()}
        found = self._find(log, _query(_STRETCH, log), values)
        if len(found) == limit:
            return found, found[-1].row.position
        if found or end == upto:
            return found, end
        following = self._next(log, end)  # there may be a hole that is larger than a stretch
        return [], upto if following is None else min(upto, following - 1)

    def before(self, log: Log, position: int, *, limit: int, which: Which) -> tuple[list[Logged], int]:
        """The last ``limit`` events at or before a position, in order, from one stretch of the log.

        Returns:
            the events, and the position down to which everything has been looked at; 0 when there is no more.
        """
        start = max(0, position - max(limit, STRETCH_POSITIONS))
        values = {"after": start, "upto": position, "limit": limit, **which.as_parameters()}
        found = self._find(log, _query(_STRETCH, log, order="desc"), values)[::-1]
        if len(found) == limit:
            return found, found[0].row.position - 1
        if found or start == 0:
            return found, start
        ((previous,),) = self._connection.execute(_query(_PREVIOUS, log), {"upto": start}).fetchall()
        return [], previous or 0

    def between(self, log: Log, after: int, upto: int, *, limit: int) -> Iterator[Logged]:
        """All events after one position and up to another, in order, in pages of ``limit``."""
        while after < upto:
            page, after = self.after(log, after, upto=upto, limit=limit, which=Which())
            yield from page

    def position_before(self, log: Log, moment: datetime, *, upto: int) -> int:
        """A position after which everything is that was recorded at ``moment`` or later; found by halving."""
        values = {"moment": moment, "upto": upto, "margin": CLOCK_MARGIN}
        ((position,),) = self._connection.execute(_query(_HALVED, log), values).fetchall()
        return int(position)

    def event(self, event_id: UUID) -> list[Logged]:
        """The events of this id: one, or none."""
        return [
            each
            for log in Log
            for each in self._find(log, _query(_EVENT, log), {"event_id": event_id, "upto": self.safe_position(log)})
        ]

    def logs_of(self, stream_ids: Collection[str]) -> dict[str, Log]:
        """Those of the streams that exist, each with its log."""
        values = {"stream_ids": list(stream_ids)}
        return {
            stream_id: log
            for log in Log
            for (stream_id,) in self._connection.execute(_query(_KNOWN_STREAMS, log), values).fetchall()
        }

    def stream(self, log: Log, stream_id: str, *, limit: int) -> Iterator[Logged]:
        """A whole stream in order of version, in pages of ``limit``."""
        upto, after = self.safe_position(log), -1
        while True:
            values = {"stream_id": stream_id, "after": after, "upto": upto, "limit": limit}
            page = self._find(log, _query(_STREAM, log), values)
            yield from page
            if len(page) < limit:
                return
            after = page[-1].row.version

    def correlation(self, correlation_id: str, *, limit: int) -> list[Logged]:
        """The events of one story over all logs, in order of time; the first ``limit`` of each log."""
        found = [
            each
            for log in Log
            for each in self._find(
                log,
                _query(_CORRELATION, log),
                {"correlation_id": correlation_id, "upto": self.safe_position(log), "limit": limit},
            )
        ]
        return sorted(found, key=lambda each: (each.row.occurred_at, each.row.recorded_at))

    def _next(self, log: Log, after: int) -> int | None:
        row = self._connection.execute(_query(_NEXT, log), {"after": after}).fetchone()
        return int(row[0]) if row else None

    def _find(self, log: Log, query: bytes, values: dict[str, Any]) -> list[Logged]:
        with self._connection.cursor(binary=True, row_factory=args_row(Found)) as cursor:
            return [Logged(log, row) for row in cursor.execute(query, values).fetchall()]


def story_streams(name: str, kinds: Sequence[str]) -> list[str]:
    """The streams that ``name`` may mean: itself, or the thing of each kind that has it as its id."""
    return [name, *(f"{kind}-{name}" for kind in kinds)]


@cache
def _query(query: LiteralString, log: Log, *, order: LiteralString = "asc") -> bytes:
    return SQL(query).format(table=Identifier(SCHEMA, log.table), order=SQL(order)).as_bytes()


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def _is_like(name: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None

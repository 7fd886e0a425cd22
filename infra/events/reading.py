"""Reading logs the way people ask: by event, by stream, by story, by time. Never past the safe position."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import args_row

from infra.event_store.log import Log
from infra.event_store.log_table import Found, LogTable
from infra.events.statements import (
    BY_TIME,
    CORRELATION,
    EVENT,
    HALVED,
    KNOWN_STREAMS,
    LAST_BY_TIME,
    NEXT,
    PREVIOUS,
    STREAM,
    STRETCH,
    on,
)

STRETCH_POSITIONS: Final = 5_000
"""Positions that one statement looks at, at most: however rarely a filter matches, each takes milliseconds."""
CLOCK_MARGIN: Final = timedelta(seconds=5)
"""By how much ``recorded_at`` may run against the order of positions: concurrent writers, a clock that was set."""


class Logged(NamedTuple):
    """An event as a log has it, readable by this version of the code or not."""

    log: Log
    row: Found

    @property
    def correlation_id(self) -> str | None:
        """The story it belongs to."""
        found: str | None = self.metadata.get("correlation_id")
        return found

    @property
    def metadata(self) -> dict[str, Any]:
        """What stands beside its data; nothing where somebody has written no object there by hand."""
        found = msgspec.json.decode(self.row.metadata)
        return found if isinstance(found, dict) else {}

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


class Place(NamedTuple):
    """A place in the order of recording: after all that was recorded earlier, or then and at a lower position."""

    recorded_at: datetime
    position: int = 0


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
        found = self._find(log, on(STRETCH, log), values)
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
        found = self._find(log, on(STRETCH, log, order="desc"), values)[::-1]
        if len(found) == limit:
            return found, found[0].row.position - 1
        if found or start == 0:
            return found, start
        ((previous,),) = self._connection.execute(on(PREVIOUS, log), {"upto": start}).fetchall()
        return [], previous or 0

    def by_time(
        self, log: Log, place: Place, *, upto: int, limit: int, which: Which
    ) -> tuple[list[Logged], Place | None]:
        """Up to ``limit`` events after a place in the order of recording, in that order, from one stretch of the log.

        Returns:
            the events, and the place up to which everything has been looked at; None when there is no more.
        """
        values = {**place._asdict(), "upto": upto, "stretch": max(limit, STRETCH_POSITIONS)}
        found = self._find(log, on(BY_TIME, log), {**values, "limit": limit, **which.as_parameters()})
        if len(found) == limit:
            return found, Place(found[-1].row.recorded_at, found[-1].row.position)
        last = self._connection.execute(on(LAST_BY_TIME, log), values).fetchone()
        return found, None if last is None else Place(*last)

    def between(self, log: Log, after: int, upto: int, *, limit: int) -> Iterator[Logged]:
        """All events after one position and up to another, in order, in pages of ``limit``."""
        while after < upto:
            page, after = self.after(log, after, upto=upto, limit=limit, which=Which())
            yield from page

    def position_before(self, log: Log, moment: datetime, *, upto: int) -> int:
        """A position after which everything is that was recorded at ``moment`` or later; found by halving."""
        values = {"moment": moment, "upto": upto, "margin": CLOCK_MARGIN}
        ((position,),) = self._connection.execute(on(HALVED, log), values).fetchall()
        return int(position)

    def event(self, event_id: UUID) -> list[Logged]:
        """The events of this id: one, or none."""
        return [
            each
            for log in Log
            for each in self._find(log, on(EVENT, log), {"event_id": event_id, "upto": self.safe_position(log)})
        ]

    def logs_of(self, stream_ids: Collection[str]) -> dict[str, Log]:
        """Those of the streams that exist, each with its log."""
        values = {"stream_ids": list(stream_ids)}
        return {
            stream_id: log
            for log in Log
            for (stream_id,) in self._connection.execute(on(KNOWN_STREAMS, log), values).fetchall()
        }

    def stream(self, log: Log, stream_id: str, *, limit: int) -> Iterator[Logged]:
        """A whole stream in order of version, in pages of ``limit``."""
        upto, after = self.safe_position(log), -1
        while True:
            values = {"stream_id": stream_id, "after": after, "upto": upto, "limit": limit}
            page = self._find(log, on(STREAM, log), values)
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
                on(CORRELATION, log),
                {"correlation_id": correlation_id, "upto": self.safe_position(log), "limit": limit},
            )
        ]
        return sorted(found, key=lambda each: (each.row.occurred_at, each.row.recorded_at))

    def _next(self, log: Log, after: int) -> int | None:
        row = self._connection.execute(on(NEXT, log), {"after": after}).fetchone()
        return int(row[0]) if row else None

    def _find(self, log: Log, query: bytes, values: dict[str, Any]) -> list[Logged]:
        with self._connection.cursor(binary=True, row_factory=args_row(Found)) as cursor:
            return [Logged(log, row) for row in cursor.execute(query, values).fetchall()]


def story_streams(name: str, kinds: Sequence[str]) -> list[str]:
    """The streams that ``name`` may mean: itself, or the thing of each kind that has it as its id."""
    return [name, *(f"{kind}-{name}" for kind in kinds)]


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def _is_like(name: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None

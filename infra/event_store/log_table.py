"""One log's table: the statements, each on a connection of the caller's and in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from infra.event_store.envelope import Outcome, Verdict
from infra.event_store.mapper import Values

SCHEMA: Final = "event_store"
SCANNED_POSITIONS: Final = 20_000
"""Positions that one read for certain names looks at, at most: no page takes long, however rare they are."""

# Ids come as bytes: the driver makes UUIDs one by one, which takes longer than fetching all the other columns.
_COLUMNS: Final = SQL(
    "position, stream_id, version, name, data::text, metadata::text, uuid_send(event_id), occurred_at, recorded_at"
)
_APPEND: Final = SQL("""
    select outcomes, positions
    from {append}(%b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::uuid[], %b::timestamptz[], %b)
""")
# One row needs no arrays, no function and no savepoint; where nothing comes back it met something, and is looked at.
_APPEND_ONE: Final = SQL("""
    insert into {table} (stream_id, version, name, data, metadata, event_id, occurred_at)
    values (%b::text, %b::bigint, %b::text, %b::text::jsonb, %b::text::jsonb, %b::uuid, %b::timestamptz)
    on conflict (stream_id, version) do nothing
    returning position
""")
_SAFE: Final = SQL("select {safe}()")
_PAGE: Final = SQL("select {columns} from {table} where position > %b and position <= %b order by position limit %b")
_PAGE_OF_NAMES: Final = SQL("""
    select {columns} from {table} where position > %b and position <= %b and name = any(%b::text[])
    order by position limit %b
""")
_NEXT: Final = SQL("select min(position) from {table} where position > %b and position <= %b")
_LAST: Final = SQL("select max(position) from {table} where position <= %b")
_STREAMS: Final = SQL("select {columns} from {table} where stream_id = any(%b::text[]) order by stream_id, version")
_STREAM: Final = SQL("""
    select {columns} from {table}
    where stream_id = %b and version > coalesce(%b::bigint, -1) and (%b::bigint is null or version <= %b::bigint)
    order by version {order} limit %b::bigint
""")
_OVERTAKEN: Final = SQL("""
    select event_id, exists (
        select from {table} as other where other.stream_id = claim.stream_id
           and (other.version = claim.place or other.version >= claim.beyond and other.version < claim.below)
    ) from unnest(%b::text[], %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[])
        as claim (stream_id, event_id, place, beyond, below)
    where not exists (
        select from {table} as same where same.stream_id = claim.stream_id and same.event_id = claim.event_id
    )
""")
_KNOWN: Final = SQL("select distinct event_id from {table} where event_id = any(%b::uuid[])")


class Found(NamedTuple):
    """A row as the table has it; ``data`` and ``metadata`` are JSON text."""

    position: int
    stream_id: str
    version: int
    name: str
    data: str
    metadata: str
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime


class Claim(NamedTuple):
    """An event that may be appended only while its stream has gone no further.

    Attributes:
        stream_id: the stream.
        event_id: the event's own id.
        place: a version that must not be taken.
        beyond: from this version on none must be taken …
        below: … up to this one, which itself does not matter.
    """

    stream_id: str
    event_id: UUID
    place: int
    beyond: int
    below: int


class Appended(NamedTuple):
    """What became of rows that were appended.

    Attributes:
        outcomes: None: all were stored. Otherwise one for each row, in order: ``stored``; ``repeat``, with the first
            position; ``taken``; ``undone``, where it was all or nothing and another row's place is taken.
        positions: of each row, in order, None where it is not in the log; None where nothing was kept.
    """

    outcomes: list[str] | None
    positions: list[int | None] | None

    def taken(self) -> int | None:
        """Number, from 0, of the first row whose place another event has; None where there is none."""
        return self.outcomes.index("taken") if self.outcomes and "taken" in self.outcomes else None

    def verdicts(self) -> list[Verdict]:
        """One for each row, where each was appended on its own."""
        positions = self.positions or []
        outcomes = self.outcomes or ["stored"] * len(positions)
        return list(map(Verdict, cast("list[Outcome]", outcomes), positions))

    def kept(self) -> list[int]:
        """Positions of the rows, where none of their places is taken."""
        return [position for position in self.positions or () if position is not None]


class LogTable:
    """Statements on the table ``event_store.<name>`` as the migrations make it."""

    def __init__(self, name: str) -> None:
        places = {
            "columns": _COLUMNS,
            "table": Identifier(SCHEMA, name),
            "append": Identifier(SCHEMA, f"{name}_append"),
            "safe": Identifier(SCHEMA, f"{name}_safe_position"),
        }

        def here(query: SQL, **more: SQL) -> bytes:
            return query.format(**places, **more).as_bytes()

        self._append = here(_APPEND)
        self._append_one = here(_APPEND_ONE)
        self._safe = here(_SAFE)
        self._page = here(_PAGE)
        self._page_of_names = here(_PAGE_OF_NAMES)
        self._next = here(_NEXT)
        self._last = here(_LAST)
        self._streams = here(_STREAMS)
        self._upwards = here(_STREAM, order=SQL("asc"))
        self._downwards = here(_STREAM, order=SQL("desc"))
        self._known = here(_KNOWN)
        self._overtaken = here(_OVERTAKEN)

    def append(self, connection: Connection[Any], rows: Sequence[Values], *, all_or_nothing: bool) -> Appended:
        """Append at least one row, in one round trip; in two where the only one is not new."""
        if len(rows) == 1 and (stored := self._ask(connection, self._append_one, rows[0])):
            return Appended(None, [position for (position,) in stored])
        columns = map(list, zip(*rows, strict=True))
        ((outcomes, positions),) = self._ask(connection, self._append, [*columns, all_or_nothing])
        return Appended(outcomes, positions)

    def safe_position(self, connection: Connection[Any]) -> int:
        """The log is final up to here: nothing will appear at or below.

        Rows have to be read in a later statement, outside of ``repeatable read``: an older snapshot may lack some.
        """
        ((position,),) = self._ask(connection, self._safe, [])
        return int(position)

    def page(self, connection: Connection[Any], *, after: int, upto: int, limit: int) -> list[Found]:
        """Rows with ``after < position <= upto``, in order."""
        return self._find(connection, self._page, [after, upto, limit])

    def page_of_names(
        self, connection: Connection[Any], *, after: int, upto: int, limit: int, names: Collection[str]
    ) -> tuple[list[Found], int]:
        """Like :meth:`page`, of events of these names only; looks at a bounded stretch of the log.

        Returns:
            the rows, and the position up to which everything has been looked at.
        """
        end = min(upto, after + max(limit, SCANNED_POSITIONS))
        rows = self._find(connection, self._page_of_names, [after, end, list(names), limit])
        if len(rows) == limit:
            return rows, rows[-1].position
        if rows or end == upto:
            return rows, end
        # What follows may be a hole that is larger than a stretch (a sequence that was set forward).
        ((following,),) = self._ask(connection, self._next, [end, upto])
        return [], upto if following is None else following - 1

    def last_position(self, connection: Connection[Any], *, upto: int) -> int | None:
        """The highest position at or below ``upto``; None where there is none."""
        ((position,),) = self._ask(connection, self._last, [upto])
        return None if position is None else int(position)

    def streams(self, connection: Connection[Any], stream_ids: Collection[str]) -> list[Found]:
        """All rows of these streams, stream by stream in order of version."""
        return self._find(connection, self._streams, [list(stream_ids)])

    def stream(
        self,
        connection: Connection[Any],
        stream_id: str,
        *,
        gt: int | None,
        lte: int | None,
        desc: bool,
        limit: int | None,
    ) -> list[Found]:
        """Rows of one stream whose version is above ``gt`` and not above ``lte``."""
        query = self._downwards if desc else self._upwards
        return self._find(connection, query, [stream_id, gt, lte, lte, limit])

    def known_event_ids(self, connection: Connection[Any], event_ids: Collection[UUID]) -> set[UUID]:
        """Those of the ids that the log holds."""
        return {event_id for (event_id,) in self._ask(connection, self._known, [list(event_ids)])}

    def overtaken(self, connection: Connection[Any], claims: Sequence[Claim]) -> dict[UUID, bool]:
        """Whether each claim comes too late, by its event's id; those that are in their stream already are left out."""
        columns = [list(column) for column in zip(*claims, strict=True)]
        return dict(self._ask(connection, self._overtaken, columns))

    def _ask(self, connection: Connection[Any], query: bytes, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return cursor.execute(query, values, prepare=True).fetchall()

    def _find(self, connection: Connection[Any], query: bytes, values: Sequence[Any]) -> list[Found]:
        rows = self._ask(connection, query, values)
        if not rows:
            return []
        columns: dict[str, Sequence[Any]] = dict(zip(Found._fields, zip(*rows, strict=True), strict=True))
        columns["event_id"] = msgspec.convert(columns["event_id"], list[UUID])
        return list(map(Found._make, zip(*columns.values(), strict=True)))

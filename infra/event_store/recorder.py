"""The recorder: the library's contract on append-only logs that analysts can read and writers do not queue for.

The library's own PostgreSQL recorder locks the table for every insert (more writers make it slower, and vacuum is
kept out), stores ``bytea``, and cannot tell a repeat from a lost race. See docs/adr/0001-event-store-recorder.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent, Subscription
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier

from infra.event_store.envelope import Verdict
from infra.event_store.mapper import Row

_INSERT: Final = SQL("""
    insert into {schema}.{table} (stream_id, version, name, data, metadata, event_id, occurred_at)
    select s, v, n, d::jsonb, m::jsonb, e, o
    from unnest(%b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::uuid[], %b::timestamptz[])
        as new (s, v, n, d, m, e, o)
    on conflict (stream_id, version) do nothing
    returning stream_id, version, position
""")
_FOUND: Final = SQL("""
    select stream_id, version, position, event_id from {schema}.{table}
    where (stream_id, version) in (select * from unnest(%b::text[], %b::bigint[]))
""")
_SAFE: Final = SQL("select {schema}.{safe}() as position")
_READ: Final = SQL("""
    select position, stream_id, version, name, data, metadata, event_id, occurred_at, recorded_at
    from {schema}.{table} where position > %b and position <= %b
""")
_STREAM: Final = SQL("select version, name, data, occurred_at from {schema}.{table} where stream_id = %b")
_STREAMS: Final = SQL("""
    select stream_id, version, name, data, occurred_at from {schema}.{table}
    where stream_id = any(%b::text[]) order by stream_id, version
""")
_KNOWN: Final = SQL("select event_id from {schema}.{table} where event_id = any(%b::uuid[])")


class LogRecorder(PostgresApplicationRecorder):
    """Records and reads one log. Methods that take a connection work in the caller's transaction."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.sql_create_statements.clear()  # the schema is alembic's
        self._names = {
            "schema": Identifier(datastore.schema),
            "table": Identifier(events_table_name),
            "safe": Identifier(f"{events_table_name}_safe_position"),
        }

    def insert_rows(self, connection: Connection[Any], rows: Sequence[Row]) -> list[Verdict]:
        """Insert each row whose place is free, in one statement.

        Returns:
            A verdict for each row, in order. A second statement is needed only where places were not free.
        """
        inserted = connection.execute(self._sql(_INSERT), _columns(rows), prepare=True).fetchall()
        placed = {(row["stream_id"], row["version"]): row["position"] for row in inserted}
        verdicts: list[Verdict] = []
        missing: dict[tuple[str, int], Any] | None = None
        for row in rows:
            place = (str(row.originator_id), row.originator_version)
            if place in placed:
                verdicts.append(Verdict("stored", placed.pop(place)))
                continue
            if missing is None:
                missing = self._found(connection, rows)
            there = missing.get(place)
            same = there is not None and row.event_id is not None and there["event_id"] == row.event_id
            verdicts.append(Verdict("repeat", there["position"]) if same and there else Verdict("taken", None))
        return verdicts

    def read_safe_position(self, connection: Connection[Any]) -> int:
        """Up to here the log is final. Rows have to be read in a later statement: an older snapshot may lack some."""
        row = connection.execute(self._sql(_SAFE), prepare=True).fetchone()
        return int(row["position"]) if row else 0

    def read_rows(
        self, connection: Connection[Any], *, after: int, upto: int, limit: int, names: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """Rows of the log with ``after < position <= upto``, in order, as columns by name."""
        query: Composed = self._sql(_READ)
        values: list[Any] = [after, upto]
        if names:
            query, values = query + SQL(" and name = any(%b::text[])"), [*values, list(names)]
        found: list[dict[str, Any]] = connection.execute(
            query + SQL(" order by position limit %b"), [*values, limit], prepare=True
        ).fetchall()
        return found

    def read_streams(self, connection: Connection[Any], stream_ids: Collection[str]) -> list[dict[str, Any]]:
        """All rows of the streams, stream by stream in order of version."""
        found: list[dict[str, Any]] = connection.execute(
            self._sql(_STREAMS), [list(stream_ids)], prepare=True
        ).fetchall()
        return found

    def known_event_ids(self, connection: Connection[Any], event_ids: Collection[Any]) -> set[Any]:
        """Those of the ids that the log holds."""
        rows = connection.execute(self._sql(_KNOWN), [list(event_ids)], prepare=True).fetchall()
        return {row["event_id"] for row in rows}

    # The library's contract

    def create_table(self) -> None:
        """Nothing: migrations make the schema."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Insert all or nothing.

        Returns:
            Positions; those of the first time where exactly these events were there already.

        Raises:
            IntegrityError: a place in a stream is taken by another event.
        """
        if not stored_events:
            return []
        rows = [event if isinstance(event, Row) else Row(**vars(event)) for event in stored_events]
        with self.datastore.get_connection() as connection, connection.transaction():
            verdicts = self.insert_rows(connection, rows)
            if any(verdict.position is None for verdict in verdicts) or len({v.outcome for v in verdicts}) > 1:
                raise IntegrityError("a place in a stream is taken by another event")
        return [verdict.position for verdict in verdicts if verdict.position is not None]

    def select_events(
        self,
        originator_id: Any,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Events of one stream."""
        query: Composed = self._sql(_STREAM)
        values: list[Any] = [str(originator_id)]
        for condition, bound in ((SQL(" and version > %b"), gt), (SQL(" and version <= %b"), lte)):
            if bound is not None:
                query, values = query + condition, [*values, bound]
        query += SQL(" order by version desc" if desc else " order by version")
        if limit is not None:
            query, values = query + SQL(" limit %b"), [*values, limit]
        with self.datastore.get_connection() as connection:
            found = connection.execute(query, values, prepare=True).fetchall()
        return [
            Row(originator_id, row["version"], row["name"], _json(row["data"]), occurred_at=row["occurred_at"])
            for row in found
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """A page of the log, never past the safe position."""
        after = (start or 0) - (1 if inclusive_of_start and start else 0)
        with self.datastore.get_connection() as connection:
            safe = self.read_safe_position(connection)
            upto = safe if stop is None else min(stop, safe)
            rows = self.read_rows(connection, after=after, upto=upto, limit=limit, names=topics)
        return [
            Notification(
                originator_id=row["stream_id"],
                originator_version=row["version"],
                topic=row["name"],
                state=_json(row["data"]),
                id=row["position"],
            )
            for row in rows
        ]

    def max_notification_id(self) -> int | None:
        """Position of the last event that readers may see; None where there is none."""
        with self.datastore.get_connection() as connection:
            safe = self.read_safe_position(connection)
            query = self._sql(SQL("select max(position) as position from {schema}.{table} where position <= %b"))
            row = connection.execute(query, [safe]).fetchone()
        return row["position"] if row else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[Any]:
        """Not offered: followers read pages from a checkpoint, in batches, and need no connection that listens."""
        raise NotImplementedError("read pages with select_notifications")

    def _found(self, connection: Connection[Any], rows: Iterable[Row]) -> dict[tuple[str, int], Any]:
        places = [(str(row.originator_id), row.originator_version) for row in rows]
        streams, versions = zip(*places, strict=True)
        found = connection.execute(self._sql(_FOUND), [list(streams), list(versions)], prepare=True).fetchall()
        return {(row["stream_id"], row["version"]): row for row in found}

    def _sql(self, query: SQL) -> Composed:
        return query.format(**self._names)


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    now = datetime.now(UTC)
    return [
        [str(row.originator_id) for row in rows],
        [row.originator_version for row in rows],
        [row.topic for row in rows],
        [row.state.decode() for row in rows],
        [row.metadata.decode() for row in rows],
        [row.event_id or uuid4() for row in rows],
        [row.occurred_at or now for row in rows],
    ]


def _json(data: Any) -> bytes:
    return msgspec.json.encode(data)

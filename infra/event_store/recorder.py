"""The recorder: the library's contract on append-only logs that analysts can read and writers do not queue for.

The library's own PostgreSQL recorder locks the table for every insert (more writers make it slower, and vacuum is
kept out), stores ``bytea``, and cannot tell a repeat from a lost race. See docs/adr/0001-event-store-recorder.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent, Subscription
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from infra.event_store.log_table import Found, LogTable
from infra.event_store.mapper import LogRow, Row, Values


class LogRecorder(PostgresApplicationRecorder):
    """Records and reads one log the way the library asks for it.

    Attributes:
        table: the statements, for callers who bring their own transaction.
    """

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.sql_create_statements.clear()
        self.table = LogTable(events_table_name)

    def create_table(self) -> None:
        """Nothing: the schema is made by migrations only."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Insert all or nothing; ``state`` and metadata have to be JSON text.

        Returns:
            positions; for events that were there already, under the same event id, those of the first time.

        Raises:
            IntegrityError: a place in a stream is taken by another event.
        """
        if not stored_events:
            return None
        rows = [_values(event if isinstance(event, Row) else Row(**vars(event))) for event in stored_events]
        with self.datastore.get_connection() as connection:
            appended = self.table.append(connection, rows, all_or_nothing=True)
        if (lost := appended.taken()) is not None:
            event = stored_events[lost]
            raise IntegrityError(f"{event.originator_id} has another event at version {event.originator_version}")
        return appended.kept()

    def select_events(
        self,
        originator_id: Any,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Events of one stream, with their envelopes."""
        with self.datastore.get_connection() as connection:
            found = self.table.stream(connection, originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        return [Row(*_library_columns(row), **_envelope(row)) for row in found]

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
        found: list[Found] = []
        with self.datastore.get_connection() as connection:
            safe = self.table.safe_position(connection)
            upto = safe if stop is None else min(stop, safe)
            while after < upto and not found:
                if topics:
                    found, after = self.table.page_of_names(
                        connection, after=after, upto=upto, limit=limit, names=topics
                    )
                else:
                    found, after = self.table.page(connection, after=after, upto=upto, limit=limit), upto
        return [LogRow(*_library_columns(row), id=row.position, **_envelope(row)) for row in found]

    def max_notification_id(self) -> int | None:
        """Position of the last event that readers may see; None where there is none."""
        with self.datastore.get_connection() as connection:
            return self.table.safe_position(connection) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[Any]:
        """Not offered: followers read pages from a checkpoint, in batches, and need no connection that listens."""
        raise NotImplementedError("read pages with select_notifications")


def _values(row: Row) -> Values:
    place = (str(row.originator_id), row.originator_version, row.topic)
    texts = (row.state.decode(), row.metadata.decode())
    return *place, *texts, row.event_id or uuid4(), row.occurred_at or datetime.now(UTC)


def _library_columns(row: Found) -> tuple[str, int, str, bytes]:
    return row.stream_id, row.version, row.name, row.data.encode()


def _envelope(row: Found) -> dict[str, Any]:
    return {"event_id": row.event_id, "occurred_at": row.occurred_at, "metadata": row.metadata.encode()}

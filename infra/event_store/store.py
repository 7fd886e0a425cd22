"""The store as the platform uses it: append in transactions, load streams, read pages of a log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self
from uuid import UUID

import msgspec
import psycopg
import psycopg_pool
from eventsourcing.persistence import InterfaceError, OperationalError

from domain.aggregate import Event, UnknownEventError
from infra.database import DatabaseUnreachableError
from infra.event_store.datastore import Datastore
from infra.event_store.envelope import LostRaceError, NewEvent, Page, Recorded, Unreadable, Verdict
from infra.event_store.log import Log
from infra.event_store.mapper import EventMapper
from infra.event_store.recorder import LogRecorder


class EventStore:
    """All logs of one database. Safe to use from several threads; not across a fork.

    Every method raises :class:`infra.database.DatabaseUnreachableError` where the database is away.
    """

    def __init__(self, database_url: str, *, connections: int = 2, name: str = "ledgerq") -> None:
        self._datastore = Datastore(database_url, name=name, connections=connections)
        self._mapper = EventMapper()
        self._recorders = {log: LogRecorder(self._datastore, events_table_name=log.table) for log in Log}

    def close(self) -> None:
        """Close the connections."""
        self._datastore.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[Transaction]:
        """One database transaction over all logs; commits at the end of the ``with`` block."""
        return self._transaction()

    def append(self, log: Log, events: Sequence[NewEvent]) -> list[int]:
        """:meth:`Transaction.append` in a transaction of its own."""
        with self.transaction() as transaction:
            return transaction.append(log, events)

    def append_each(self, log: Log, events: Sequence[NewEvent]) -> list[Verdict]:
        """:meth:`Transaction.append_each` in a transaction of its own."""
        with self.transaction() as transaction:
            return transaction.append_each(log, events)

    def load(self, log: Log, stream_ids: Collection[str]) -> dict[str, list[Event]]:
        """Whole streams, each in order of version; a stream that does not exist is not in the answer.

        Raises:
            UnknownEventError: a newer version of the code wrote to one of them.
        """
        if not stream_ids:
            return {}
        with self._connection() as connection:
            rows = self._recorders[log].read_streams(connection, stream_ids)
        streams: dict[str, list[Event]] = {}
        for row in rows:
            streams.setdefault(row["stream_id"], []).append(self._event(row))
        return streams

    def known_event_ids(self, log: Log, event_ids: Collection[UUID]) -> set[UUID]:
        """Those of the ids that the log holds."""
        if not event_ids:
            return set()
        with self._connection() as connection:
            return self._recorders[log].known_event_ids(connection, event_ids)

    def read(self, log: Log, *, after: int, limit: int, names: Collection[str] = ()) -> Page:
        """A page of the log.

        Args:
            log: which.
            after: position after which to read.
            limit: most rows to return.
            names: only events of these names; all where empty.
        """
        recorder = self._recorders[log]
        with self._connection() as connection:
            safe = recorder.read_safe_position(connection)
            rows = (
                recorder.read_rows(connection, after=after, upto=safe, limit=limit, names=names) if safe > after else []
            )
        position = rows[-1]["position"] if len(rows) == limit else max(safe, after)
        page = Page([], position, [])
        for row in rows:
            try:
                event = self._event(row)
            except (UnknownEventError, msgspec.ValidationError, AttributeError) as error:
                reason = f"{type(error).__name__}: {error}"
                page.unreadable.append(Unreadable(row["position"], row["stream_id"], row["name"], reason))
            else:
                page.events.append(
                    Recorded(row["position"], event, row["event_id"], row["metadata"], row["recorded_at"])
                )
        return page

    def safe_position(self, log: Log) -> int:
        """Up to here the log is final: committed and visible, or never to come."""
        with self._connection() as connection:
            return self._recorders[log].read_safe_position(connection)

    def _event(self, row: dict[str, Any]) -> Event:
        return self._mapper.to_event(row["name"], row["stream_id"], row["version"], row["occurred_at"], row["data"])

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self._connection() as connection, connection.transaction():
            yield Transaction(connection, self._recorders, self._mapper)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._datastore.get_connection() as connection:
                yield connection
        except (OperationalError, InterfaceError, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed) as error:
            raise DatabaseUnreachableError(str(error).strip()) from error


class Transaction:
    """An open transaction; what is appended commits together with whatever else is done on ``connection``."""

    def __init__(
        self, connection: psycopg.Connection[Any], recorders: dict[Log, LogRecorder], mapper: EventMapper
    ) -> None:
        self.connection = connection
        self._recorders = recorders
        self._mapper = mapper

    def append(self, log: Log, events: Sequence[NewEvent]) -> list[int]:
        """Append all or nothing.

        Returns:
            Positions in the order of ``events``; where exactly these events were there already, those they have.

        Raises:
            LostRaceError: a place is taken by another event. Nothing of this call is kept; the transaction goes on.
        """
        if not events:
            return []
        with self.connection.transaction():  # a savepoint
            verdicts = self.append_each(log, events)
            repeated = all(verdict.outcome == "repeat" for verdict in verdicts)
            for new, verdict in zip(events, verdicts, strict=True):
                if verdict.outcome != "stored" and not repeated:
                    raise LostRaceError(new.event.originator_id, new.event.originator_version)
        return [verdict.position for verdict in verdicts if verdict.position is not None]

    def append_each(self, log: Log, events: Sequence[NewEvent]) -> list[Verdict]:
        """Append each event whose place is free; a verdict for each, in order. Never raises for a taken place."""
        if not events:
            return []
        rows = [self._mapper.to_row(new) for new in events]
        return self._recorders[log].insert_rows(self.connection, rows)

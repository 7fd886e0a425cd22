"""The store as the platform uses it: append in transactions, load streams, read pages of a log."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import psycopg

from domain.aggregate import Event
from domain.flow import FlowEvent
from domain.task_run import run_stream
from domain.tier import Tier
from infra.event_store.backlog import count_backlog
from infra.event_store.datastore import Datastore
from infra.event_store.dropped import Archived, NoArchives, needed_archives
from infra.event_store.ends import ended_runs
from infra.event_store.envelope import (
    EventUnreadableError,
    LostRaceError,
    NewEvent,
    Page,
    Recorded,
    Unreadable,
    Verdict,
)
from infra.event_store.flows import FlowReader
from infra.event_store.licenses import open_licensed_runs, touched_licenses
from infra.event_store.log import Log
from infra.event_store.log_table import Found
from infra.event_store.mapper import EventMapper
from infra.event_store.pages import Wanted, rows
from infra.event_store.recorder import LogRecorder
from infra.event_store.revocations import Revocation, RevocationReader
from infra.event_store.schedules import FiredSlot, ScheduleReader, Told
from infra.event_store.shared_appends import SharedAppends
from infra.event_store.skips import skipped_positions
from infra.event_store.stored import Stored, noted
from infra.event_store.stories import RevokedStories, open_runs_of_story
from infra.event_store.transaction import Transaction, recorded
from infra.event_store.watermarks import Watermark, last_watermark, log_time
from infra.event_store.webhooks import WebhookReader, WebhookStories


class EventStore:
    """All logs of one database. Safe to use from several threads.

    Every method raises :class:`infra.database.DatabaseUnreachableError` where the database cannot serve; then nothing
    is stored, or (where the connection broke during a commit) everything: appending it again is a repeat.

    Args:
        database_url: PostgreSQL connection URI.
        connections: how many are kept at most; each thread inside a method or a transaction needs one.
        name: who connects, for the server's list of connections.
        archived: who reads what was dropped from a log; None: nobody, and pages that need it are refused.
    """

    def __init__(
        self, database_url: str, *, connections: int = 2, name: str = "ledgerq", archived: Archived | None = None
    ) -> None:
        self._archived = archived or NoArchives()
        self._datastore = Datastore(database_url, name=name, connections=connections)
        self._mapper = EventMapper()
        self._tables = {log: LogRecorder(self._datastore, events_table_name=log.table).table for log in Log}
        self._shared = {log: SharedAppends(table, self._datastore.pool) for log, table in self._tables.items()}
        self._schedules = ScheduleReader()
        self._webhooks = WebhookReader()
        self._open = _OpenTransactions()

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
        """:meth:`Transaction.append` in a transaction of its own, in one round trip.

        A single event shares its transaction with those that other threads append just then.
        """
        if len(events) == 1:
            return [self._append_single(log, events[0])]
        with self._datastore.pool.connection() as connection, noted() as stored:
            return self._noting(connection, stored).append(log, events)

    def append_each(self, log: Log, events: Sequence[NewEvent]) -> list[Verdict]:
        """:meth:`Transaction.append_each` in a transaction of its own, in one round trip; see :meth:`append`."""
        if len(events) == 1:
            return [self._verdict(log, events[0])]
        with self._datastore.pool.connection() as connection, noted() as stored:
            return self._noting(connection, stored).append_each(log, events)

    def load(self, log: Log, stream_ids: Collection[str]) -> dict[str, list[Event]]:
        """Whole streams, each in order of version; a stream that does not exist is not in the answer.

        Raises:
            EventUnreadableError: one of their events cannot be read; nothing may be decided on half a story.
        """
        stories = self.load_recorded(log, stream_ids)
        return {stream: [each.event for each in story] for stream, story in stories.items()}

    def load_recorded(self, log: Log, stream_ids: Collection[str]) -> dict[str, list[Recorded]]:
        """Like :meth:`load`, each event in its envelope: with its id and what stands beside it."""
        if not stream_ids:
            return {}
        with self._datastore.pool.connection() as connection:
            return self._on(connection).load_recorded(log, stream_ids)

    def load_counted(self, log: Log, stream_id: str, *, known_by: datetime | None = None) -> list[Recorded]:
        """One stream without its events that are skipped, in order of version; empty where there is none.

        Args:
            log: where it is.
            stream_id: which.
            known_by: skips recorded later are not known yet; None: all are.

        Raises:
            EventUnreadableError: one of the others cannot be read.
        """
        with self._datastore.pool.connection() as connection:
            found = self._tables[log].streams(connection, [stream_id])
            places = [row.position for row in found] or [0]
            skipped = skipped_positions(connection, log, first=min(places), last=max(places), known_by=known_by)
        return [self._recorded(row) for row in found if row.position not in skipped]

    def known_event_ids(self, log: Log, event_ids: Collection[UUID]) -> set[UUID]:
        """Those of the ids that the log holds.

        Whoever decides on loaded streams asks after loading them: asked before, a repeat that another process stores
        in between is in the streams and not among the known ids, and is decided on a second time.
        """
        if not event_ids:
            return set()
        with self._datastore.pool.connection() as connection:
            return self._on(connection).known_event_ids(log, event_ids)

    def read(self, log: Log, *, after: int, limit: int, names: Collection[str] = (), upto: int | None = None) -> Page:
        """A page of the log.

        Args:
            log: which.
            after: position after which to read.
            limit: most rows to return.
            names: only events of these names; all where empty. A page may then be empty although there is more:
                its position has moved on, and there is nothing new only where it has not.
            upto: position behind which not to read; None: wherever the log can be read.

        Raises:
            ArchiveMissingError: events that belong here were dropped, and their archive cannot be read.
        """
        with self._datastore.pool.connection() as connection:  # in autocommit: each statement sees what is committed
            safe = self._tables[log].safe_position(connection)
            upto = safe if upto is None else min(upto, safe)
            if upto <= after:
                return Page([], after, [])
            wanted = Wanted(after, upto, limit, names)
            found, position = rows(connection, self._tables[log], log, wanted, archived=self._archived)
        page = Page([], position, [])
        for row in found:
            try:
                page.events.append(self._recorded(row))
            except EventUnreadableError as error:
                page.unreadable.append(Unreadable(row.position, row.stream_id, row.name, error.reason))
        return page

    def check_archives(self, log: Log, *, after: int) -> None:
        """See that everything after a position of the log can be read, also what was dropped.

        Raises:
            ArchiveMissingError: an archive that it takes is not there.
        """
        with self._datastore.pool.connection() as connection:
            self._archived.check(log, needed_archives(connection, log, after=after))

    def revocations(self, *, after: int) -> dict[str, Revocation]:
        """Revocations recorded after a position of the log of tasks, by stream; whatever became of their runs."""
        reader = RevocationReader()
        with self._datastore.pool.connection() as connection:
            found = reader.requested(connection, after=after, upto=reader.safe_position(connection))
        return {run_stream(each.run_id): each for each in found}

    def look_for_revoked_stories(self, known: RevokedStories) -> None:
        """Have ``known`` hear of the stories that were taken back since it last looked."""
        with self._datastore.pool.connection() as connection:
            known.look(connection)

    def open_runs_of_story(
        self, correlation_id: str, *, after: int, upto: int, limit: int
    ) -> list[tuple[int, str, str]]:
        """Position, stream and task of events of a story's open runs; see :mod:`infra.event_store.stories`."""
        with self._datastore.pool.connection() as connection:
            return open_runs_of_story(connection, correlation_id, after=after, upto=upto, limit=limit)

    def touched_licenses(self, *, after: int) -> tuple[set[str], int]:
        """Ids of the licenses that something was recorded of after a position of the licensing log, and up to where."""
        with self._datastore.pool.connection() as connection:
            upto = self._tables[Log.LICENSING].safe_position(connection)
            touched = touched_licenses(connection, after=after, upto=upto) if upto > after else set()
            return touched, max(after, upto)

    def open_licensed_runs(self, license_id: str, *, after: str = "", limit: int) -> list[tuple[str, str]]:
        """Stream and task of open requested runs that name the license; see :mod:`infra.event_store.licenses`."""
        with self._datastore.pool.connection() as connection:
            return open_licensed_runs(connection, license_id, after=after, limit=limit)

    def log_time(self) -> datetime | None:
        """Everything sent before it has been stored; None where ingest has not said so yet."""
        with self._datastore.pool.connection() as connection:
            return log_time(connection)

    def last_watermark(self) -> Watermark | None:
        """Like :meth:`log_time`, and whether its jumps were watched."""
        with self._datastore.pool.connection() as connection:
            return last_watermark(connection)

    def flow_events(self) -> list[tuple[FlowEvent, str]]:
        """All that people did about flows, in order, and by whom.

        Raises:
            EventUnreadableError: a newer version of the code wrote one.
        """
        reader = FlowReader()
        with self._datastore.pool.connection() as connection:
            return reader.events(connection, after=0, upto=reader.safe_position(connection))

    def schedule_events(self, *, after: int, limit: int) -> Told:
        """What was done about schedules after a position of the licensing log."""
        with self._datastore.pool.connection() as connection:
            return self._schedules.told(connection, after=after, limit=limit)

    def settled_slots(self, schedules: Collection[str]) -> dict[str, datetime]:
        """The latest slot of each of the schedules that was fired, skipped or missed."""
        if not schedules:
            return {}
        with self._datastore.pool.connection() as connection:
            return self._schedules.settled(connection, schedules)

    def fired_slots(self, schedule: str, *, limit: int) -> list[FiredSlot]:
        """The slots of a schedule that were fired last, the latest first."""
        with self._datastore.pool.connection() as connection:
            return self._schedules.fired(connection, schedule, limit=limit)

    def load_at(self, log: Log, stream_id: str, version: int) -> Recorded | None:
        """One event by its place in its stream; None where there is none.

        Raises:
            EventUnreadableError: it cannot be read.
        """
        with self._datastore.pool.connection() as connection:
            found = self._tables[log].stream(connection, stream_id, gt=version - 1, lte=version, desc=False, limit=1)
        return self._recorded(found[0]) if found else None

    def webhook_stories(self, known: WebhookStories | None = None) -> WebhookStories:
        """All that was done about webhook endpoints and hooks; ``known`` itself where nothing was since."""
        with self._datastore.pool.connection() as connection:
            return self._webhooks.stories(connection, known)

    def ended_runs(self, run_ids: Collection[str]) -> set[str]:
        """Those of the runs that have ended."""
        with self._datastore.pool.connection() as connection:
            return ended_runs(connection, run_ids)

    def backlog(self, tier: Tier, *, most: int) -> int:
        """How many accepted runs of the tier dispatch has not published; counted up to ``most``."""
        with self._datastore.pool.connection() as connection:
            return count_backlog(connection, tier, most=most)

    def safe_position(self, log: Log) -> int:
        """The log is final up to here: no event will appear at or below. 0 where it is empty."""
        with self._datastore.pool.connection() as connection:
            return self._tables[log].safe_position(connection)

    def _append_single(self, log: Log, new: NewEvent) -> int:
        verdict = self._verdict(log, new)
        if verdict.position is None:
            raise LostRaceError(new.event.originator_id, new.event.originator_version)
        return verdict.position

    def _verdict(self, log: Log, new: NewEvent) -> Verdict:
        shared, row = self._shared[log], self._mapper.values(new)
        with noted() as stored:
            # Others may wait for what this thread's transaction holds; who waited for them would wait for itself.
            verdict = shared.append_alone(row) if self._open.count else shared.append(row)
            if stored is not None and verdict.outcome == "stored":
                stored.events.append((log, new))
            return verdict

    def _recorded(self, row: Found) -> Recorded:
        return recorded(self._mapper, row)

    def _on(self, connection: psycopg.Connection[tuple[Any, ...]]) -> Transaction:
        return Transaction(connection, self._tables, self._mapper)

    def _noting(self, connection: psycopg.Connection[tuple[Any, ...]], stored: Stored | None) -> Transaction:
        transaction = self._on(connection)
        transaction.stored = stored
        return transaction

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with noted() as stored, self._datastore.pool.connection() as connection, connection.transaction():
            self._open.count += 1
            try:
                yield self._noting(connection, stored)
            finally:
                self._open.count -= 1


class _OpenTransactions(threading.local):
    """How many transactions of a store this thread has open."""

    count = 0

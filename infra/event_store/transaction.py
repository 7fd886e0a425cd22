"""A transaction over the logs: what is appended commits together with whatever else is done on its connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from domain.aggregate import Event
from infra.event_store.envelope import LostRaceError, NewEvent, Recorded, Verdict
from infra.event_store.log import Log
from infra.event_store.log_table import Appended, Claim, Found, LogTable
from infra.event_store.mapper import EventMapper
from infra.event_store.stored import Stored

_decode: Final[Callable[[str], Any]] = msgspec.json.Decoder().decode
"""Made once: asked for every row that is read."""


class Transaction:
    """An open transaction; what is appended commits together with whatever else is done on ``connection``.

    From its first append to a log on, readers of that log wait for its end: keep it short.

    Attributes:
        stored: where it notes what it stores; None: nowhere.
    """

    def __init__(
        self, connection: psycopg.Connection[tuple[Any, ...]], tables: Mapping[Log, LogTable], mapper: EventMapper
    ) -> None:
        self.connection = connection
        self._tables = tables
        self._mapper = mapper
        self.stored: Stored | None = None

    def load(self, log: Log, stream_ids: Collection[str]) -> dict[str, list[Event]]:
        """:meth:`EventStore.load`, of what is committed and what this transaction has appended."""
        stories = self.load_recorded(log, stream_ids)
        return {stream: [each.event for each in story] for stream, story in stories.items()}

    def load_recorded(self, log: Log, stream_ids: Collection[str]) -> dict[str, list[Recorded]]:
        """:meth:`EventStore.load_recorded`, likewise."""
        stories: dict[str, list[Recorded]] = {}
        for row in self._tables[log].streams(self.connection, stream_ids) if stream_ids else ():
            stories.setdefault(row.stream_id, []).append(recorded(self._mapper, row))
        return stories

    def known_event_ids(self, log: Log, event_ids: Collection[UUID]) -> set[UUID]:
        """:meth:`EventStore.known_event_ids`, likewise."""
        return self._tables[log].known_event_ids(self.connection, event_ids) if event_ids else set()

    def append(self, log: Log, events: Sequence[NewEvent]) -> list[int]:
        """Append all or nothing.

        Returns:
            positions in the order of ``events``; of events that were there already (the same id in the same place), the
            positions they have.

        Raises:
            LostRaceError: a place is taken by another event. Nothing of this call is kept; the transaction goes on.
        """
        if not events:
            return []
        appended = self._append(log, events, all_or_nothing=True)
        if (lost := appended.taken()) is not None:
            raise LostRaceError(events[lost].event.originator_id, events[lost].event.originator_version)
        return appended.kept()

    def append_each(self, log: Log, events: Sequence[NewEvent]) -> list[Verdict]:
        """Append each event whose place is free; a verdict for each, in order. Never raises for a taken place."""
        return self._append(log, events, all_or_nothing=False).verdicts() if events else []

    def overtaken(self, log: Log, claims: Sequence[Claim]) -> dict[UUID, bool]:
        """Whether each claim comes too late, by its event's id; those that are in their stream already are left out.

        Counts what is committed and what this transaction has appended. What another transaction is about to append
        counts as having come after.
        """
        return self._tables[log].overtaken(self.connection, claims) if claims else {}

    def _append(self, log: Log, events: Sequence[NewEvent], *, all_or_nothing: bool) -> Appended:
        rows = [self._mapper.values(new) for new in events]
        appended = self._tables[log].append(self.connection, rows, all_or_nothing=all_or_nothing)
        if self.stored is not None:
            self.stored.note(log, events, appended)
        return appended


def recorded(mapper: EventMapper, row: Found) -> Recorded:
    """A row of a log as an event in its envelope.

    Raises:
        EventUnreadableError: this version of the code cannot read it.
    """
    metadata = _decode(row.metadata)
    event = mapper.to_event(
        row.name,
        row.data,
        stream_id=row.stream_id,
        version=row.version,
        occurred_at=row.occurred_at,
        metadata=metadata,
    )
    return Recorded(row.position, event, row.event_id, metadata, row.recorded_at)

"""What a projection is: a name, what it follows, and how events become rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Final, Generic, Protocol

import sqlalchemy as sa
from psycopg.errors import UniqueViolation

from domain.aggregate import Event
from infra.event_store import Log, Recorded
from projections.rows import Key, Row, insert, load, update

HEARTBEAT_PAGE_PART: Final = 100
"""How many times fewer events a page of the heartbeats log has: one of them may hold thousands of heartbeats."""


def page_limit(log: Log, batch_events: int) -> int:
    """Most events to read at once, so that a page of any log weighs about the same in memory."""
    return max(1, batch_events // HEARTBEAT_PAGE_PART) if log is Log.HEARTBEATS else batch_events


class Projection(Protocol):
    """Events in, rows of one read model out.

    The rows after a set of events must be the same however the followed logs interleave and wherever batches are cut,
    and nothing but the events may flow into them (no clock, no chance, no other read model). Then a rebuild gives the
    same rows, and two logs need no common order.
    """

    @property
    def name(self) -> str:
        """What operators call it."""

    @property
    def question(self) -> str:
        """What it answers, in a few words."""

    @property
    def follows(self) -> Mapping[Log, Collection[str]]:
        """The logs it follows, each with the names of the events it handles."""

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """The tables that are its own: nobody else writes them, and a rebuild empties them."""

    def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
        """Bring the rows up to date with ``events`` of one log, in order of position, in the caller's transaction.

        Raises:
            Exception: an event cannot be handled. The runner finds and parks it; nothing of this call is kept.
        """


class Fold(Generic[Row]):
    """A projection with one table in which every event belongs to one row.

    The rows a batch touches are read in one statement, folded in memory and written in two: those that were there in an
    UPDATE, new ones by COPY. The checkpoint's compare-and-set admits one writer at a time, so nobody else can have
    changed them in between.

    Rows that begin in the batch are not looked for: COPY finds out. Where one of them was there after all, nothing is
    kept of the try, and all are looked for.
    """

    follows: ClassVar[Mapping[Log, Collection[str]]]
    begun_by: ClassVar[Collection[str]] = ()
    """Names of the events that are nearly always the first of their row."""
    table: ClassVar[sa.Table]
    shape: type[Row]

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """The one table."""
        return (self.table,)

    def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
        """Read the rows, fold, write the rows."""
        keys = [self.key(recorded.event) for recorded in events]
        sought = self._sought(keys, events)
        every = set(keys)
        if len(sought) < len(every):
            try:
                with connection.begin_nested():
                    self._apply(connection, keys, events, sought=sought)
            except UniqueViolation:
                sought = every
            else:
                return
        self._apply(connection, keys, events, sought=sought)

    def folded(self, events: Sequence[Recorded]) -> dict[Key, Row]:
        """The rows that ``events`` make from nothing, by key, without a database."""
        rows: dict[Key, Row] = {}
        self._fold_into(rows, [self.key(recorded.event) for recorded in events], events)
        return rows

    @abstractmethod
    def key(self, event: Event) -> Key:
        """Primary key of the row that ``event`` belongs to."""

    @abstractmethod
    def fold(self, row: Row, recorded: Recorded) -> None:
        """Change ``row`` by one event."""

    def _sought(self, keys: Sequence[Key], events: Sequence[Recorded]) -> Collection[Key]:
        """Keys of the rows that do not begin here, as far as their first event tells."""
        begins: dict[Key, bool] = {}
        for key, recorded in zip(keys, events, strict=True):
            if key not in begins:
                begins[key] = recorded.event.TOPIC in self.begun_by
        return [key for key, is_new in begins.items() if not is_new]

    def _apply(
        self, connection: sa.Connection, keys: Sequence[Key], events: Sequence[Recorded], *, sought: Collection[Key]
    ) -> None:
        known = load(connection, self.table, self.shape, sought)
        rows = {key: self.shape(*values) for key, values in known.items()}
        self._fold_into(rows, keys, events)
        found = list(rows.values())
        update(connection, self.table, self.shape, zip(known.values(), found, strict=False))
        insert(connection, self.table, self.shape, found[len(known) :])

    def _fold_into(self, rows: dict[Key, Row], keys: Sequence[Key], events: Sequence[Recorded]) -> None:
        for key, recorded in zip(keys, events, strict=True):
            row = rows.get(key)
            if row is None:
                row = rows[key] = self.shape(*key)
            self.fold(row, recorded)


def follower(projection: str) -> str:
    """The name under which the checkpoints of ``projection`` are kept."""
    return f"{FOLLOWER_PREFIX}{projection}"


FOLLOWER_PREFIX = "projection."

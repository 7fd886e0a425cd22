"""Projections in which an event belongs to several rows, or to one that its envelope names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

import sqlalchemy as sa

from infra.event_store import Log, Recorded
from projections.rows import Key, Row, insert, load, update

Part = TypeVar("Part")


class Gathering(Generic[Row, Part]):
    """A projection with one table; each event has parts, and each part belongs to one row.

    As with :class:`projections.projection.Fold`, the rows a batch touches are read in one statement, folded in memory
    and written in two.
    """

    follows: ClassVar[Mapping[Log, Collection[str]]]
    table: ClassVar[sa.Table]
    shape: type[Row]

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """The one table."""
        return (self.table,)

    def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
        """Read the rows, fold, write the rows."""
        told = [each for recorded in events for each in self.parts(recorded)]
        known = load(connection, self.table, self.shape, {key for key, _ in told})
        rows = {key: self.shape(*values) for key, values in known.items()}
        for key, part in told:
            row = rows.get(key)
            if row is None:
                row = rows[key] = self.shape(*key)
            self.fold(row, part)
        found = list(rows.values())
        update(connection, self.table, self.shape, zip(known.values(), found, strict=False))
        insert(connection, self.table, self.shape, found[len(known) :])

    @abstractmethod
    def parts(self, recorded: Recorded) -> Iterable[tuple[Key, Part]]:
        """What of an event belongs to which row, by primary key."""

    @abstractmethod
    def fold(self, row: Row, part: Part) -> None:
        """Change ``row`` by one part."""

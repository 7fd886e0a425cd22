"""What a test about read models does: record facts, let projections look, ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.rows import dict_row

from domain.aggregate import Event
from infra.event_store import EventStore, Log
from projections.catalog import PROJECTIONS
from projections.projection import Projection
from projections.rows import driver
from projections.runner import Runner
from tests.projections.histories import new


class World:
    """A store and a connection to ask on."""

    def __init__(self, store: EventStore, connection: sa.Connection) -> None:
        self.store = store
        self.connection = connection

    def record(self, log: Log, *events: Event, **metadata: str) -> list[int]:
        """Append facts to a log."""
        return self.store.append(log, new(events, **metadata))

    def heard(self, when: datetime) -> None:
        """Say of everything in the heartbeats log that it was recorded then, and not by the server's clock."""
        with self.connection.begin():
            self.psycopg.execute("set local ledgerq.maintenance = on")
            self.psycopg.execute("update event_store.heartbeat_events set recorded_at = %s", (when,))

    def runner(self, projection: str | Projection, *, batch_events: int = 1000) -> Runner:
        """A runner that has recalled where the projection stands."""
        found = PROJECTIONS[projection] if isinstance(projection, str) else projection
        runner = Runner(found, self.store, batch_events=batch_events)
        runner.recall(self.connection)
        return runner

    def catch_up(self, *projections: str) -> None:
        """Let projections look at everything there is."""
        for name in projections or PROJECTIONS:
            runner = self.runner(name)
            while runner.step(self.connection):
                pass

    def rows(self, question: str, **values: Any) -> list[dict[str, Any]]:
        """What SQL finds, in a transaction of its own."""
        with self.connection.begin(), self.psycopg.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(question.encode(), values).fetchall()

    def row(self, question: str, **values: Any) -> dict[str, Any]:
        """The only row that SQL finds."""
        (found,) = self.rows(question, **values)
        return found

    def dump(self, tables: Iterable[sa.Table]) -> dict[str, list[tuple[Any, ...]]]:
        """Everything in ``tables``, in order of primary key."""
        with self.connection.begin():
            return {
                table.name: [
                    tuple(row) for row in self.connection.execute(sa.select(table).order_by(*table.primary_key.columns))
                ]
                for table in tables
            }

    @property
    def psycopg(self) -> psycopg.Connection[tuple[object, ...]]:
        """The psycopg connection under the test's own."""
        return driver(self.connection)

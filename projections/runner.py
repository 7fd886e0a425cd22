"""The runner: keeps one projection up to date, a page of events per transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa
import structlog

from infra.event_store import Checkpoint, CheckpointMovedError, EventStore, Log
from projections.parking import apply_or_park, park, unreadable
from projections.projection import Projection, follower, page_limit
from projections.rows import driver

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)


class Runner:
    """Follows the logs of one projection from its checkpoints on.

    Rows and checkpoint are committed together, and the checkpoint is moved first, by compare-and-set: of two runners
    of the same projection the second one waits for the first one's commit and then learns that it has come too late.
    So each event counts once, however many runners there are and whenever one is killed.
    """

    def __init__(self, projection: Projection, store: EventStore, *, batch_events: int) -> None:
        self.projection = projection
        self._store = store
        self._batch_events = batch_events
        self._positions: dict[Log, int] = {}

    @property
    def logs(self) -> Collection[Log]:
        """The logs it follows."""
        return self.projection.follows.keys()

    def recall(self, connection: sa.Connection) -> None:
        """Read where the projection stands."""
        with connection.begin():
            for log in self.logs:
                position = Checkpoint.read(driver(connection), follower(self.projection.name), log)
                self._positions[log] = position

    def step(self, connection: sa.Connection) -> bool:
        """Look at one page of each followed log.

        Returns:
            Whether any of them had something to look at; if not, the projection is up to date.

        Raises:
            sqlalchemy.exc.DBAPIError, psycopg.Error: the database is away or busy; nothing was done, try again.
        """
        moved = [self._step(connection, log) for log in self.logs]
        return any(moved)

    def _step(self, connection: sa.Connection, log: Log) -> bool:
        after = self._positions[log]
        limit = page_limit(log, self._batch_events)
        page = self._store.read(log, after=after, limit=limit, names=self.projection.follows[log])
        if page.position == after:
            return False
        name = self.projection.name
        try:
            with connection.begin():
                Checkpoint.advance(driver(connection), follower(name), log, expected=after, to=page.position)
                parked = apply_or_park(connection, self.projection, page.events)
                parked += [unreadable(found) for found in page.unreadable]
                park(connection, name, log, parked)
        except CheckpointMovedError:
            _LOG.info("checkpoint was moved by somebody else", projection=name, log=log.value)
            self.recall(connection)
            return True
        self._positions[log] = page.position
        for event in parked:
            _LOG.error("event parked", projection=name, log=log.value, **event._asdict())
        return True

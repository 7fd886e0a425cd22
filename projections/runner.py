"""The runner: keeps one projection up to date, a page of events per transaction."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
import structlog

from infra.event_store import Checkpoint, CheckpointMovedError, EventStore, Log, Page
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from projections.parking import Parked, apply_or_park, park, unreadable
from projections.projection import Projection, follower
from projections.reading import Reader
from projections.rows import driver
from projections.skipping import unskipped
from projections.spans import tell_projected

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)


class Runner:
    """Follows the logs of one projection from its checkpoints on.

    Rows and checkpoint are committed together, and the checkpoint is moved first, by compare-and-set: of two runners
    of the same projection the second one waits for the first one's commit and then learns that it has come too late.
    So each event counts once, however many runners there are and whenever one is killed.

    Args:
        projection: the one to keep.
        store: where its logs are read.
        batch_events: events per page; memory grows with it and with nothing else.
        name: the follower whose checkpoints are moved; None: that of the live tables. Only of those is it an alarm that
            an event is parked.
        instruments: count what is looked at.
    """

    def __init__(
        self,
        projection: Projection,
        store: EventStore,
        *,
        batch_events: int,
        name: str | None = None,
        instruments: Instruments | None = None,
    ) -> None:
        self.projection = projection
        self._follower = name or follower(projection.name)
        self._is_live = name is None
        self._reader = Reader(projection, store, batch_events=batch_events)
        self._positions: dict[Log, int] = {}
        self._instruments = instruments

    @property
    def logs(self) -> Collection[Log]:
        """The logs it follows."""
        return self.projection.follows.keys()

    def recall(self, connection: sa.Connection) -> None:
        """Read where the projection stands."""
        with connection.begin():
            for log in self.logs:
                position = Checkpoint.read(driver(connection), self._follower, log)
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

    def close(self) -> None:
        """Let go of what was read ahead."""
        self._reader.close()

    def position(self, log: Log) -> int:
        """Where it stands in the log, as far as it knows."""
        return self._positions[log]

    def bring_to(self, connection: sa.Connection, log: Log, position: int) -> bool:
        """Look at everything up to a position, in the caller's transaction, in which nobody else moves the checkpoint.

        Returns:
            Whether it stands there now; if not, the log ends before it: its newest events were erased.

        Raises:
            CheckpointMovedError: somebody has moved it since it was recalled.
        """
        while self._positions[log] < position:
            page = self._reader.page_upto(log, after=self._positions[log], upto=position)
            if page.position == self._positions[log]:
                return False
            self._apply(connection, log, page)
        return True

    def recall_in(self, connection: sa.Connection, log: Log) -> None:
        """Read where the projection stands in one log, in the caller's transaction."""
        self._positions[log] = Checkpoint.read(driver(connection), self._follower, log)

    def _step(self, connection: sa.Connection, log: Log) -> bool:
        page = self._reader.page(log, after=self._positions[log])
        if page.position == self._positions[log]:
            return False
        began, at = time.monotonic(), datetime.now(UTC)
        try:
            with connection.begin():
                parked = self._apply(connection, log, page)
        except CheckpointMovedError:
            _LOG.info("checkpoint was moved by somebody else", follower=self._follower, log=log.value)
            self.recall(connection)
            return True
        tell_projected(self._follower, self.projection.name, log, page, began=at)
        if self._instruments is not None:
            self._count(self._instruments, log, page, parked, seconds=time.monotonic() - began)
        for event in parked if self._is_live else ():
            _LOG.error("event parked", follower=self._follower, log=log.value, **event._asdict())
        return True

    def _count(
        self, instruments: Instruments, log: Log, page: Page, parked: Collection[Parked], *, seconds: float
    ) -> None:
        name = self.projection.name
        instruments.counter(catalog.PROJECTION_EVENTS, name, log.value).inc(len(page.events))
        instruments.histogram(catalog.PROJECTION_WRITE, name).observe(seconds)
        instruments.counter(catalog.PROJECTION_PARKED, name).inc(len(parked))

    def _apply(self, connection: sa.Connection, log: Log, page: Page) -> list[Parked]:
        """Rows, parked events and checkpoint, in the caller's transaction."""
        Checkpoint.advance(driver(connection), self._follower, log, expected=self._positions[log], to=page.position)
        page = unskipped(connection, log, page)
        parked = apply_or_park(connection, self.projection, page.events)
        parked += [unreadable(found) for found in page.unreadable]
        park(connection, self.projection.name, log, parked)
        self._positions[log] = page.position
        return parked

"""The projector: all projections in one process, each on a thread and a connection of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import structlog

from infra.database import Leadership, engine
from infra.event_store import ArchiveMissingError, EventStore
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from infra.retention.reading import archived_events
from infra.settings import Settings
from projections.outage import DATABASE_TROUBLE, Backoff
from projections.projection import Projection, follower
from projections.runner import Runner
from projections.turning import Turning, Turns
from projections.watch import LogWatch

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)

LOOK_AFTER_LEADERSHIP_SECONDS: Final = 1.0
STANDBY_SECONDS: Final = 1.0
ARCHIVE_LOOK_SECONDS: Final = 30.0
"""How long a projection waits that begins before what was dropped and finds no archive; the others go on."""
LOCK_TIMEOUT_SECONDS: Final = 3
"""A rebuild holds the checkpoints; who waits for it looks up now and then, to see whether it should stop."""


class Projector:
    """Keeps projections up to date until it is stopped.

    For each projection one projector leads and the others stand by: they wait for its advisory lock, which the
    database takes away from a leader whose connection has died.
    """

    def __init__(
        self, settings: Settings, projections: Sequence[Projection], *, instruments: Instruments | None = None
    ) -> None:
        self._settings = settings
        self._instruments = instruments
        self._store = EventStore(
            settings.database_url.get_secret_value(),
            connections=4,
            name="projector",
            archived=archived_events(settings.archive_dir),
        )
        self._engine = engine(settings, name="projector", connections=len(projections))
        logs = {log for projection in projections for log in projection.follows}
        if instruments is not None:  # there from the start: led by nobody yet, nothing parked yet
            for projection in projections:
                instruments.gauge(catalog.LEADS, follower(projection.name))
                for rare in (catalog.PROJECTION_PARKED, catalog.PROJECTION_TROUBLE):
                    instruments.counter(rare, projection.name)
        self._watch = LogWatch(self._store, logs, longest_pause=settings.poll_interval_ms / 1000)
        self._stopping = threading.Event()
        self._fault: BaseException | None = None
        self._turning = {projection.name: Turning() for projection in projections}
        self._threads = [threading.Thread(target=self._guard, args=(self._watch.run,), name="watch")]
        self._threads += [
            threading.Thread(target=self._guard, args=(self._keep, projection), name=projection.name)
            for projection in projections
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether a thread has met a fault that it cannot wait out."""
        return self._fault is not None

    def turns(self) -> Turns:
        """How the loops of all projections turn."""
        return Turns.of(self._turning)

    def stop(self) -> None:
        """Stop after the batches in hand.

        Raises:
            BaseException: the fault that a thread has met, if one has.
        """
        self._stopping.set()
        self._watch.stop()
        for thread in self._threads:
            thread.join()
        self._engine.dispose()
        self._store.close()
        if self._fault is not None:
            raise self._fault

    def _guard(self, work: Callable[..., None], *arguments: Projection) -> None:
        try:
            work(*arguments)
        except BaseException as fault:  # noqa: BLE001  handed to the main thread, which raises it
            self._fault = fault

    def _keep(self, projection: Projection) -> None:
        """Lead or stand by, and wait out outages of the database."""
        backoff = Backoff()
        turning = self._turning[projection.name]
        batch = self._settings.projection_batch_events
        runner = Runner(projection, self._store, batch_events=batch, instruments=self._instruments)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with Leadership(self._settings, follower(projection.name)) as leadership:
                    if leadership.acquire():
                        with self._shown(projection):
                            self._lead(runner, leadership, turning)
                    else:
                        turning.turn(leads=False)
                        self._stopping.wait(STANDBY_SECONDS)
            except ArchiveMissingError as error:
                turning.turn(troubled=True)
                _LOG.error(
                    "events are in an archive that cannot be read", projection=projection.name, reason=str(error)
                )
                self._note_trouble(projection)
                self._stopping.wait(ARCHIVE_LOOK_SECONDS)
            except DATABASE_TROUBLE as error:
                turning.turn(troubled=True)
                _LOG.warning("database trouble; trying again", projection=projection.name, error=str(error))
                self._note_trouble(projection)
                self._stopping.wait(backoff.seconds(after=time.monotonic() - began))
            finally:
                runner.close()

    def _shown(self, projection: Projection) -> AbstractContextManager[Any]:
        """While it lasts, the metrics say that this process leads the projection."""
        if self._instruments is None:
            return nullcontext()
        return self._instruments.gauge(catalog.LEADS, follower(projection.name)).track_inprogress()

    def _note_trouble(self, projection: Projection) -> None:
        if self._instruments is not None:
            self._instruments.counter(catalog.PROJECTION_TROUBLE, projection.name).inc()

    def _lead(self, runner: Runner, leadership: Leadership, turning: Turning) -> None:
        _LOG.info("leading", projection=runner.projection.name)
        with self._engine.connect() as connection:
            with connection.begin():
                connection.exec_driver_sql(f"set lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
            runner.recall(connection)
            look_at = time.monotonic() + LOOK_AFTER_LEADERSHIP_SECONDS
            while not self._stopping.is_set():
                turning.turn(leads=True)
                mark = self._watch.mark(runner.logs)
                if not runner.step(connection):
                    self._watch.wait(runner.logs, mark, seconds=LOOK_AFTER_LEADERSHIP_SECONDS)
                if time.monotonic() > look_at:
                    if not leadership.still_held():
                        _LOG.warning("no longer leading", projection=runner.projection.name)
                        return
                    look_at = time.monotonic() + LOOK_AFTER_LEADERSHIP_SECONDS

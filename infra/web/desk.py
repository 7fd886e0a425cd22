"""What operations are given to work with: settings, the event store, connections for reading, and an emitter."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from infra.broker.emitter import Emitter
from infra.broker.errors import BrokerError
from infra.cloudevents import CloudEvent
from infra.database.connections import parameters
from infra.database.pool import ConnectionPool
from infra.event_store import EventStore
from infra.logs.redaction import Redactor
from infra.settings import Settings
from infra.web.admission import Admission

NAME: Final = "web"
TURN_WITHIN_SECONDS: Final = 2.0
"""How long a request to emit waits for those before it; a broker that is slow is not to take every thread."""


class NoTurnError(BrokerError):
    """Others are emitting, and the broker takes its time; nothing of this was sent, ask again."""


class Desk:
    """Use it as a context manager; from several threads.

    Attributes:
        settings: those in force.
        store: the event store.
        pool: connections for reading.
        admission: who may ask, and how often.
        redact: hides secrets in what is shown.
        waiting: taken by whoever waits for something while it holds a thread: half of them may.
    """

    def __init__(self, settings: Settings) -> None:
        url = settings.database_url.get_secret_value()
        self.settings = settings
        self.store = EventStore(url, connections=settings.web_connections, name=NAME)
        self.pool = ConnectionPool(parameters(url, name=NAME), size=settings.web_connections)
        self.admission = Admission(self.pool, settings)
        self.redact = Redactor(settings)
        self.waiting = threading.BoundedSemaphore(max(1, settings.web_connections // 2))
        self._emitter = Emitter(settings, role=NAME)
        self._emitting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._emitter.close()
        self.pool.close()
        self.store.close()

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in autocommit.

        Raises:
            DatabaseUnreachableError: there is none to be had.
        """
        with self.pool.connection() as connection:
            yield connection

    def emit(self, events: Sequence[CloudEvent]) -> None:
        """Have events arrive at the broker; one call at a time. Raises as :meth:`Emitter.emit_all` does.

        Raises:
            NoTurnError: its turn did not come in time.
        """
        if not self._emitting.acquire(timeout=TURN_WITHIN_SECONDS):
            raise NoTurnError(f"no turn to emit within {TURN_WITHIN_SECONDS:g} s; nothing was sent, ask again")
        try:
            self._emitter.emit_all(events)
        finally:
            self._emitting.release()

"""Directives: what people ask of all workers, as the log has it. Remote control is off; the log is the channel.

A thread of the worker's main process looks at the log again and again, and the rest of the worker at what it knows: a
dictionary. While the database is away the worker goes on with what was known last.

The pool's children are forks of this process and have no such thread. What they inherit of its connection they never
touch: nothing in a child refers to this module, and psycopg closes no connection in a process that did not open it.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import structlog

from domain.flow import Flow, FlowKind
from domain.limits import Limits
from infra.database import ConnectionPool, DatabaseUnreachableError, parameters
from infra.event_store.copies import COUNTS_FOR, Copy, CopyReader
from infra.event_store.ends import ended_runs
from infra.event_store.flows import FlowReader
from infra.event_store.revocations import Revocation, RevocationReader
from infra.event_store.stories import RevokedStories
from tasks.worker.attempt import Attempt

LONGEST_PAUSE_SECONDS: Final = 5.0
FORGET_EVERY_SECONDS: Final = 30.0
"""How often what concerns runs that have ended is forgotten."""

_log = structlog.get_logger("ledgerq.worker")


class Directives(threading.Thread):
    """Keeps up with the log, in the background.

    Args:
        database_url: PostgreSQL connection URI.
        interval: between two looks.
    """

    def __init__(self, database_url: str, *, interval: timedelta) -> None:
        super().__init__(name="directives", daemon=True)
        self._pool = ConnectionPool(parameters(database_url, name="ledgerq worker directives"), size=1)
        self._interval_seconds = interval.total_seconds()
        self._known = threading.Event()
        self._closing = threading.Event()
        self._is_away = False
        self._revocations = RevocationReader()
        self._position: int | None = None
        self._forgot_at = time.monotonic()
        self.revocations: dict[str, Revocation] = {}
        """Runs that are not to be executed, or not any longer, by run id."""
        self._revoked_stories = RevokedStories()
        self._copy_reader = CopyReader()
        self._copies_position = 0
        self.copies: dict[str, Copy] = {}
        """Of runs whose message was published once more, which one counts, by run id."""
        self._flow_reader = FlowReader()
        self._flow_position = 0
        self._flows: dict[str, Flow] = {}
        self.paused_queues: frozenset[str] = frozenset()
        self.paused_tasks: frozenset[str] = frozenset()
        self.limits: dict[str, Limits] = {}
        """What people put in place of the limits that tasks declare, by task."""

    def wait(self, timeout: timedelta) -> bool:
        """Wait until what is asked is known; False where the database was away for all that time."""
        return self._known.wait(timeout.total_seconds())

    def revocation_of(self, attempt: Attempt) -> Revocation | None:
        """Why the attempt is not to be executed, or not any longer: its run or its story was taken back."""
        return self.revocations.get(attempt.run_id) or self._revoked_stories.of(attempt.correlation_id)

    def stop(self) -> None:
        """End the thread after what it is doing."""
        self._closing.set()

    def run(self) -> None:
        """Look, pause, look; until stopped."""
        pause = self._interval_seconds
        while not self._closing.wait(pause if self._known.is_set() or self._is_away else 0):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001  a worker that hears of nothing any more would not be noticed
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                self._say_away(error)
                if not isinstance(error, DatabaseUnreachableError):
                    self._known.set()  # no schema of ours, or another one: waiting does not change it
            else:
                pause = self._interval_seconds
                self._say_back()
        self._pool.close()

    def _look(self) -> None:
        with self._pool.connection() as connection:
            self._look_for_revocations(connection)
            self._revoked_stories.look(connection)
            self._look_for_copies(connection)
            self._forget(connection)
            self._look_at_flows(connection)

    def _look_at_flows(self, connection: psycopg.Connection[Any]) -> None:
        safe = self._flow_reader.safe_position(connection)
        if safe <= self._flow_position:
            return
        events = self._flow_reader.events(connection, after=self._flow_position, upto=safe)
        for event, _actor in events:
            flow = self._flows.get(event.originator_id) or Flow(event.kind, event.flow)
            self._flows[event.originator_id] = flow.after(event)
        self._flow_position = safe
        if events:
            flows = self._flows.values()
            self.paused_queues = frozenset(f.name for f in flows if f.paused and f.kind is FlowKind.QUEUE)
            self.paused_tasks = frozenset(f.name for f in flows if f.paused and f.kind is FlowKind.TASK)
            self.limits = {f.name: f.limits for f in flows if f.limits is not None and f.kind is FlowKind.TASK}

    def _look_for_revocations(self, connection: psycopg.Connection[Any]) -> None:
        reader, safe = self._revocations, self._revocations.safe_position(connection)
        if self._position is None:
            self.revocations = {each.run_id: each for each in reader.outstanding(connection, upto=safe)}
        elif safe > self._position:
            new = reader.requested(connection, after=self._position, upto=safe)
            self.revocations.update({each.run_id: each for each in new})
        self._position = safe

    def _look_for_copies(self, connection: psycopg.Connection[Any]) -> None:
        safe = self._copy_reader.safe_position(connection)
        if safe > self._copies_position:
            self.copies.update(self._copy_reader.announced(connection, after=self._copies_position, upto=safe))
        self._copies_position = safe

    def _forget(self, connection: psycopg.Connection[Any]) -> None:
        if not (self.revocations or self.copies) or time.monotonic() - self._forgot_at < FORGET_EVERY_SECONDS:
            return
        self._forgot_at = time.monotonic()
        for run_id in ended_runs(connection, list(self.revocations)):
            del self.revocations[run_id]
        # Not those of runs that have ended: the older message may still wait in its queue.
        for run_id in [each for each, copy in self.copies.items() if copy.at < datetime.now(UTC) - COUNTS_FOR]:
            del self.copies[run_id]

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            _log.warning("what people ask of workers cannot be read; going on as before", detail=str(error).strip())
        self._is_away = True

    def _say_back(self) -> None:
        if self._is_away:
            _log.info("what people ask of workers can be read again")
        self._is_away = False
        self._known.set()

"""Directives: what people ask of all workers, as the log has it. Remote control is off; the log is the channel.

A thread of the worker's main process looks at the log again and again, and the rest of the worker at what it knows: a
dictionary. While the database is away the worker goes on with what was known last.

The pool's children are forks of this process and have no such thread. What they inherit of its connection they never
touch: nothing in a child refers to this module, and psycopg closes no connection in a process that did not open it.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any, Final

import psycopg
import structlog

from infra.database import ConnectionPool, DatabaseUnreachableError, parameters
from infra.event_store.revocations import Revocation, RevocationReader

LONGEST_PAUSE_SECONDS: Final = 5.0
FORGET_EVERY_SECONDS: Final = 30.0
"""How often revocations of runs that have ended are forgotten."""

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

    def wait(self, timeout: timedelta) -> bool:
        """Wait until what is asked is known; False where the database was away for all that time."""
        return self._known.wait(timeout.total_seconds())

    def stop(self) -> None:
        """End the thread after what it is doing."""
        self._closing.set()

    def run(self) -> None:
        """Look, pause, look; until stopped."""
        pause = self._interval_seconds
        while not self._closing.wait(pause if self._known.is_set() or self._is_away else 0):
            try:
                self._look()
            except (DatabaseUnreachableError, psycopg.Error) as error:
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

    def _look_for_revocations(self, connection: psycopg.Connection[Any]) -> None:
        reader, safe = self._revocations, self._revocations.safe_position(connection)
        if self._position is None:
            self.revocations = {each.run_id: each for each in reader.outstanding(connection, upto=safe)}
        elif safe > self._position:
            new = reader.requested(connection, after=self._position, upto=safe)
            self.revocations.update({each.run_id: each for each in new})
        self._position = safe
        if self.revocations and time.monotonic() - self._forgot_at > FORGET_EVERY_SECONDS:
            self._forgot_at = time.monotonic()
            for run_id in reader.ended(connection, list(self.revocations)):
                del self.revocations[run_id]

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            _log.warning("what people ask of workers cannot be read; going on as before", detail=str(error).strip())
        self._is_away = True

    def _say_back(self) -> None:
        if self._is_away:
            _log.info("what people ask of workers can be read again")
        self._is_away = False
        self._known.set()

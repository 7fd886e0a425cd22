"""Leadership: one of several processes is active, the others stand by."""

from __future__ import annotations

import time
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, Self

import psycopg

from infra.database.connections import connect
from infra.database.errors import database_faults
from infra.settings import Settings

RETRY_SECONDS: Final = 0.25
"""Pause between two tries for a leadership that somebody else holds.

Asking again instead of waiting in the server: a statement that waits holds a snapshot, and vacuum waits with it.
"""


class Leadership:
    """A session-level advisory lock on a connection of its own; the server frees it when that connection ends.

    Holding it makes double work unlikely, not impossible: a leader whose session was cut does not know it until it
    asks. What must happen once is made unique by a constraint or a compare-and-set, never by this.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self._settings = settings
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._is_held = False

    def acquire(self, timeout: float = 0.0) -> bool:
        """Try to lead, for ``timeout`` seconds at most; 0: one try. True where this one leads already.

        Raises:
            DatabaseUnreachableError: the database is away.
        """
        deadline = time.monotonic() + timeout
        while not (self.still_held() or self._try_lock()):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(RETRY_SECONDS, remaining))
        return True

    def still_held(self) -> bool:
        """Whether the session that holds the lock is alive; False means that somebody else may lead by now."""
        if self._connection is None or not self._is_held:
            return False
        try:
            self._connection.execute("select 1")
        except psycopg.Error:  # whatever it was, this session is not to be relied on any more
            self.release()
        return self._is_held

    def release(self) -> None:
        """Give way, at once: the server hears of a closed connection a moment later than whoever asks next."""
        if self._connection is None:
            return
        if self._is_held:
            self._is_held = False
            with suppress(psycopg.Error):  # the session was cut, and the lock went with it
                self._connection.execute("select pg_advisory_unlock(%s)", (lock_key(self.name),))
        self._connection.close()
        self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _try_lock(self) -> bool:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings, name=f"leadership {self.name}")
        with database_faults(self._connection):
            row = self._connection.execute("select pg_try_advisory_lock(%s)", (lock_key(self.name),)).fetchone()
        self._is_held = bool(row and row[0])
        return self._is_held


def lock_key(name: str) -> int:
    """The advisory lock's key, 64 bits wide: in another space than the pairs of keys that the logs' floors use."""
    return int.from_bytes(sha256(f"ledgerq.leadership.{name}".encode()).digest()[:8], signed=True)

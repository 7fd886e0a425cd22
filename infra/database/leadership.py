"""Leadership: one of several processes is active, the others stand by."""

from __future__ import annotations

import time
import zlib
from typing import Any, Final, Self

import psycopg

from infra.database.connections import DatabaseUnreachableError, connect
from infra.settings import Settings

_LOCK_SPACE: Final = 51_508_000
_RETRY_SECONDS: Final = 0.2


class Leadership:
    """A session-level advisory lock on a connection of its own; the server gives it up when that connection ends.

    Holding it makes double work unlikely, not impossible: a leader whose session was cut does not know it until it
    asks. What must happen once is made unique by a constraint or a compare-and-set, never by this.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self._settings = settings
        self._key = zlib.crc32(name.encode()) - 2**31
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def acquire(self, timeout: float = 0.0) -> bool:
        """Try to lead, for ``timeout`` seconds at most.

        Raises:
            DatabaseUnreachableError: the database is away.
        """
        deadline = time.monotonic() + timeout
        while not self._try_lock():
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(_RETRY_SECONDS, max(0.0, deadline - time.monotonic())))
        return True

    def still_held(self) -> bool:
        """Whether the session that holds the lock is alive; False means that somebody else may lead by now."""
        if self._connection is None:
            return False
        try:
            self._connection.execute("select 1")
        except psycopg.OperationalError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give way."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _try_lock(self) -> bool:
        try:
            if self._connection is None:
                self._connection = connect(self._settings, name=f"leadership {self.name}")
            row = self._connection.execute(
                "select pg_try_advisory_lock(%s::int, %s::int)", (_LOCK_SPACE, self._key)
            ).fetchone()
        except psycopg.OperationalError as error:
            self.release()
            raise DatabaseUnreachableError(str(error).strip()) from error
        held = bool(row and row[0])
        if not held:
            self.release()
        return held

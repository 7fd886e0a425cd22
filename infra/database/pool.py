"""A small pool of connections without threads of its own.

`psycopg_pool` opens connections in the background: an outage shows as a timeout without its reason, and after one the
pool's own backoff decides when the next attempt is made. Here the caller's thread connects, so the caller knows at once
and why, and the caller's backoff is the only one.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from infra.database.connections import connect_with
from infra.database.errors import DatabaseUnreachableError, database_faults

WAIT_SECONDS: Final = 10.0
"""How long a caller waits for one of the pool's connections to be given back."""


class ConnectionPool:
    """At most ``size`` connections in autocommit, opened when asked for and kept. Safe to use from several threads.

    In a process forked from the one that filled it, the pool begins anew and leaves its parent's connections alone.
    """

    def __init__(self, conninfo: str, *, size: int) -> None:
        self._conninfo = conninfo
        self._size = size
        self._begin()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Lend a connection; a transaction left open on it is rolled back.

        Raises:
            DatabaseUnreachableError: there is no connection to be had, or a fault of the database ended the work.
        """
        if self._pid != os.getpid():
            self._begin()
        free = self._free
        if not free.acquire(timeout=WAIT_SECONDS):
            raise DatabaseUnreachableError(f"all {self._size} connections are in use for {WAIT_SECONDS:g} s")
        try:
            connection = self._idle_connection() or connect_with(self._conninfo)
            try:
                with database_faults(connection):
                    yield connection
            finally:
                self._take_back(connection)
        finally:
            free.release()

    def open(self, _wait: bool = False, _timeout: float = 0.0) -> None:  # noqa: FBT001, FBT002  the library's signature
        """Nothing: connections are opened when they are asked for."""

    def close(self) -> None:
        """Close the connections that are not lent; those that are close when they are given back."""
        self._closed = True
        if self._pid == os.getpid():
            while (connection := self._pop()) is not None:
                connection.close()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._free = threading.Semaphore(self._size)
        self._idle: list[psycopg.Connection[tuple[Any, ...]]] = []
        self._closed = False

    def _idle_connection(self) -> psycopg.Connection[tuple[Any, ...]] | None:
        while (connection := self._pop()) is not None:
            if not _is_cut(connection):
                return connection
            connection.close()
        return None

    def _pop(self) -> psycopg.Connection[tuple[Any, ...]] | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _take_back(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        if self._closed or connection.closed or connection.info.transaction_status is not TransactionStatus.IDLE:
            connection.close()  # which also rolls back
        else:
            self._idle.append(connection)


def _is_cut(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has ended an idle connection: then, and hardly ever otherwise, there is something to read."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))

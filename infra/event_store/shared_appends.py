"""Group commit: single events that several threads append at the same time share one statement and one flush.

Who comes while nobody stores stores at once; who comes meanwhile waits, and all who wait are stored together. Nobody is
delayed for the sake of company. Each event stands alone in the statement, so each caller gets its own verdict.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Final

import psycopg

from infra.database import ConnectionPool, DatabaseUnreachableError
from infra.event_store.envelope import Verdict
from infra.event_store.log_table import LogTable
from infra.event_store.mapper import Values

PATIENCE_SECONDS: Final = 0.5
"""How long an event waits for those before it; then it is stored alone. Theirs may wait for somebody's transaction."""
MOST: Final = 1000
"""Events that share a statement, at most."""


class SharedAppends:
    """Appends single rows to one log. Safe to use from several threads; begins anew in a forked process."""

    def __init__(self, table: LogTable, pool: ConnectionPool) -> None:
        self._table = table
        self._pool = pool
        self._queue = _Queue()

    def append(self, row: Values) -> Verdict:
        """Store a row, together with those of other callers that wait at this moment.

        Raises:
            DatabaseUnreachableError: as for every append.
        """
        if self._queue.pid != os.getpid():
            self._queue = _Queue()
        request = _Request(row)
        if self._queue.enter(request):
            self._store_waiting()
        if request.fault is not None:
            raise DatabaseUnreachableError(str(request.fault)) from request.fault
        return request.verdict or self.append_alone(row)

    def append_alone(self, row: Values) -> Verdict:
        """Store a row in a statement of its own."""
        (verdict,) = self._append([row])
        return verdict

    def _store_waiting(self) -> None:
        requests: Sequence[_Request] = ()
        try:
            requests = self._queue.take()
            self._store(requests)
        finally:
            self._queue.leave(requests)

    def _store(self, requests: Sequence[_Request]) -> None:
        """Give these requests a verdict, or what all of them met; or neither, where one of them may have spoilt it."""
        try:
            verdicts = self._append([request.row for request in requests])
        except DatabaseUnreachableError as error:
            if not isinstance(error.__cause__, psycopg.errors.DeadlockDetected):
                for request in requests:
                    request.fault = error
        except Exception:  # noqa: BLE001, S110  one of them is refused: stored alone, each learns what is its own fault
            pass
        else:
            for request, verdict in zip(requests, verdicts, strict=True):
                request.verdict = verdict

    def _append(self, rows: Sequence[Values]) -> list[Verdict]:
        with self._pool.connection() as connection:
            return self._table.append(connection, rows, all_or_nothing=False).verdicts()


class _Request:
    """What a caller wants stored, and what became of it; with neither verdict nor fault: to be stored alone."""

    __slots__ = ("fault", "leads", "row", "verdict", "woken")

    def __init__(self, row: Values) -> None:
        self.row = row
        self.verdict: Verdict | None = None
        self.fault: DatabaseUnreachableError | None = None
        self.leads = False
        self.woken = threading.Lock()
        self.woken.acquire()


class _Queue:
    """Requests that wait, and whether somebody stores; who stops storing hands that on to the first who waits."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._guard = threading.Lock()
        self._waiting: list[_Request] = []
        self._is_storing = False

    def enter(self, request: _Request) -> bool:
        """Wait; whether the caller has to store now. If not, its fate is decided, or it is stored alone."""
        with self._guard:
            self._waiting.append(request)
            if not self._is_storing:
                self._is_storing = request.leads = True
                return True
        try:
            if not request.woken.acquire(timeout=PATIENCE_SECONDS) and not self._withdraw(request):
                request.woken.acquire()  # it is being stored
        except BaseException:  # who is interrupted does not want it stored some time later
            self._give_up(request)
            raise
        return request.leads

    def take(self) -> list[_Request]:
        """All who wait, the caller among them."""
        with self._guard:
            taken, self._waiting[:] = self._waiting[:MOST], self._waiting[MOST:]
        return taken

    def leave(self, settled: Sequence[_Request]) -> None:
        """Stop storing: the first of those who came meanwhile goes on, and the caller's company is told."""
        with self._guard:
            self._is_storing = bool(self._waiting)
            if self._is_storing:
                self._waiting[0].leads = True
                self._waiting[0].woken.release()
        for request in settled:
            if not request.leads:
                request.woken.release()

    def _give_up(self, request: _Request) -> None:
        if not self._withdraw(request) and request.leads:
            with self._guard:
                self._waiting.remove(request)
            self.leave(())

    def _withdraw(self, request: _Request) -> bool:
        """Take back what waits; whether it did, and is not the one to store now."""
        with self._guard:
            waited = request in self._waiting and not request.leads
            if waited:
                self._waiting.remove(request)
        return waited

"""Permits: a worker asks whether runs of limited tasks may begin, on a thread of its own; others are not asked about.

The limits hold over all workers because they are kept in the database. While that is away nobody may begin a limited
task, and every other task runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple
from uuid import uuid4

import psycopg
import structlog

from infra.database import ConnectionPool, parameters, permits
from infra.database.permits import Lease, Permit, Question

STAY_EVERY_SECONDS: Final = 4.0
"""How often the worker says that it lives; well within what a lease lasts."""
AWAY_SECONDS: Final = 2.0
"""How long a database that was away is not asked again."""
AWAY: Final = Permit("limiter_away", None)

_log = structlog.get_logger("ledgerq.worker")


class _Asked(NamedTuple):
    question: Question
    then: Callable[[Permit], None]


class Permits:
    """Used by the consumer's thread; the answers are given on another, which begins with the first question.

    Args:
        database_url: PostgreSQL connection URI.
        worker: who asks.
    """

    def __init__(self, database_url: str, *, worker: str) -> None:
        self._pool = ConnectionPool(parameters(database_url, name="ledgerq worker permits"), size=1)
        self._worker = worker
        self._holder = uuid4()  # not the worker's name: one that is started anew may have the same
        self._inbox: SimpleQueue[_Asked | Lease | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._held: set[Lease] = set()
        self._released: list[Lease] = []
        self._stay_at = 0.0
        self._away_until = 0.0
        self._thread: threading.Thread | None = None

    def ask(self, question: Question, then: Callable[[Permit], None]) -> None:
        """Have ``then`` called with the answer, on the thread that asks; returns at once."""
        self._inbox.put(_Asked(question, then))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="permits", daemon=True)
            self._thread.start()

    def hold(self, lease: Lease) -> None:
        """The run begins; its lease is needed until it is released."""
        with self._lock:
            self._held.add(lease)

    def release(self, lease: Lease) -> None:
        """The run is over."""
        with self._lock:
            self._held.discard(lease)
        self._inbox.put(lease)

    def stop(self, timeout: timedelta) -> None:
        """Give back what is held and end the thread."""
        if self._thread is not None:
            self._inbox.put(None)
            self._thread.join(timeout.total_seconds())

    def _work(self) -> None:
        while True:
            taken = self._take()
            asked = sorted((each for each in taken if isinstance(each, _Asked)), key=lambda each: each.question.lease)
            self._released += [each for each in taken if isinstance(each, Lease)]
            is_last = None in taken
            for each, answer in zip(asked, self._answers(asked, is_last=is_last), strict=True):
                each.then(answer)
            if is_last:
                self._pool.close()
                return

    def _take(self) -> list[_Asked | Lease | None]:
        """What has come; waits for the first, or for the time to say that the worker lives."""
        try:
            taken = [self._inbox.get(timeout=max(0.0, self._stay_at - time.monotonic()))]
        except Empty:
            return []
        while not self._inbox.empty():
            taken.append(self._inbox.get())
        return taken

    def _answers(self, asked: list[_Asked], *, is_last: bool) -> list[Permit]:
        now = time.monotonic()
        if now < self._away_until and not is_last:
            self._stay_at = max(self._stay_at, self._away_until)
            return [AWAY for _ in asked]
        try:
            with self._pool.connection() as connection:
                return self._converse(connection, asked, is_last=is_last)
        except Exception as error:  # noqa: BLE001  each question gets an answer: a child waits for it
            self._away_until = self._stay_at = time.monotonic() + AWAY_SECONDS
            _log.warning("no permits to be had; runs of limited tasks wait", detail=str(error).strip())
            return [AWAY for _ in asked]

    def _converse(self, connection: psycopg.Connection[Any], asked: list[_Asked], *, is_last: bool) -> list[Permit]:
        if time.monotonic() >= self._stay_at:
            with self._lock:
                held = list(self._held)
            permits.stay(connection, self._holder, self._worker, held)
            self._stay_at = time.monotonic() + STAY_EVERY_SECONDS
        if self._released:
            permits.release(connection, self._holder, self._released)
            self._released.clear()
        if is_last:
            permits.leave(connection, self._holder)
            return [AWAY for _ in asked]
        return permits.ask(connection, self._holder, [each.question for each in asked]) if asked else []

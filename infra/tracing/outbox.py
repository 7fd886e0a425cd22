"""The outbox: a thread that sends spans, so that nobody else ever waits for a collector."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

MOST_WAITING: Final = 8192
"""Spans that wait to be sent, at most; what comes beyond them is dropped."""
BATCH: Final = 512
LINGER_SECONDS: Final = 0.5
"""How long spans are kept back for more of them to come."""
PAUSE_SECONDS: Final = 5.0
"""After a failure; what does not fit into the outbox meanwhile is dropped."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.tracing")


class Outbox:
    """Takes anything that ``send`` can send; safe to use from several threads, and begins when first used.

    Args:
        send: sends a batch and returns whether it arrived; called on the outbox's own thread alone.
        where: the collector, for the log.
    """

    def __init__(self, send: Callable[[Sequence[Any]], bool], *, where: str) -> None:
        self._send = send
        self._where = where
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._is_failing = False
        self.dropped = 0

    def put(self, span: Any) -> None:
        """Have ``span`` sent; returns at once."""
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(span)
        if self._thread is None:
            self._begin()
        elif len(self._waiting) == BATCH:
            with self._changed:
                self._changed.notify_all()

    def close(self, *, within: timedelta) -> None:
        """Send what waits and end; what has not arrived in that time is dropped."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(within.total_seconds())

    def _begin(self) -> None:
        with self._changed:
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._wait():
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if batch:
                self._deliver(batch)

    def _wait(self) -> bool:
        """Until there is something to do; whether there is, or may be."""
        with self._changed:
            if self._is_closing:
                return bool(self._waiting) and not self._is_failing
            if self._is_failing:
                self._changed.wait_for(lambda: self._is_closing, PAUSE_SECONDS)
            else:
                self._changed.wait_for(lambda: self._is_closing or len(self._waiting) >= BATCH, LINGER_SECONDS)
            return True

    def _deliver(self, batch: list[Any]) -> None:
        try:
            has_arrived, why = self._send(batch), "refused or not reached"
        except Exception as error:  # noqa: BLE001  whatever it is, the work that is traced must not suffer
            has_arrived, why = False, f"{type(error).__name__}: {error}"
        if has_arrived and self._is_failing:
            _log.warning("spans are taken again", collector=self._where, dropped=self.dropped)
            self.dropped = 0
        elif not has_arrived:
            self.dropped += len(batch)
            if not self._is_failing:
                _log.warning("spans are not taken and are dropped until they are", collector=self._where, reason=why)
        self._is_failing = not has_arrived

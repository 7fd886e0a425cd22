"""Watching logs grow, once for all projections of a process, so that idling costs a few small statements a second."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from typing import Final

import structlog

from infra.event_store import EventStore, Log
from projections.outage import DATABASE_TROUBLE

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger(__name__)

SHORTEST_PAUSE_SECONDS: Final = 0.002
OUTAGE_PAUSE_SECONDS: Final = 1.0

Mark = tuple[int, ...]


class LogWatch:
    """Looks at the safe positions of some logs and wakes whoever waits for one of them to move.

    While they move it looks every few milliseconds; when they stand still, less and less often, down to once in
    ``longest_pause`` seconds.
    """

    def __init__(self, store: EventStore, logs: Iterable[Log], *, longest_pause: float) -> None:
        self._store = store
        self._longest_pause = longest_pause
        self._seen: dict[Log, int] = dict.fromkeys(sorted(logs), 0)
        self._changed = threading.Condition()
        self._stopping = threading.Event()

    def mark(self, logs: Collection[Log]) -> Mark:
        """Where ``logs`` stood at the last look; take it before reading them, to miss nothing."""
        with self._changed:
            return tuple(self._seen[log] for log in logs)

    def wait(self, logs: Collection[Log], mark: Mark, *, seconds: float) -> None:
        """Pause until one of ``logs`` is no longer where ``mark`` says, or ``seconds`` have passed, or it stops."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping.is_set() or tuple(self._seen[log] for log in logs) != mark, timeout=seconds
            )

    def run(self) -> None:
        """Watch until stopped; an outage of the database is waited out."""
        pause = SHORTEST_PAUSE_SECONDS
        while not self._stopping.wait(pause):
            try:
                moved = self._look()
            except DATABASE_TROUBLE as error:
                _LOG.warning("cannot see the logs", error=str(error))
                pause = OUTAGE_PAUSE_SECONDS
            else:
                pause = SHORTEST_PAUSE_SECONDS if moved else min(pause * 2, self._longest_pause)

    def stop(self) -> None:
        """Stop watching and wake everybody."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def _look(self) -> bool:
        found = {log: self._store.safe_position(log) for log in self._seen}
        with self._changed:
            moved = found != self._seen
            self._seen = found
            if moved:
                self._changed.notify_all()
        return moved

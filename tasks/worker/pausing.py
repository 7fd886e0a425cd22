"""Pausing: a worker consumes no queue that is paused, and begins no task that is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from tasks.worker.directives import Directives

TASK_LOOKED_AFTER: Final = timedelta(seconds=8)
"""How long a message of a paused task waits in the delay ladder before it is looked at again."""

_log = structlog.get_logger("ledgerq.worker")


class Consumption(Protocol):
    """What is needed of a consumer."""

    def is_connected(self) -> bool:
        """Whether there is a connection that messages come on."""

    def stop_queue(self, queue: str) -> None:
        """Have no more messages of the queue delivered."""

    def start_queue(self, queue: str) -> None:
        """Have them delivered again."""

    def hand_back_waiting(self) -> None:
        """Put the messages back that no child has begun."""


class Pausing:
    """Used by the consumer's thread alone.

    Args:
        directives: what is paused.
        consumption: what is to stop and to start.
        queues: those that this worker consumes.
    """

    def __init__(self, directives: Directives, consumption: Consumption, queues: Iterable[str]) -> None:
        self._directives = directives
        self._consumption = consumption
        self._queues = frozenset(queues)
        self._stopped: frozenset[str] = frozenset()
        self._tasks: frozenset[str] = frozenset()

    @property
    def stands_still(self) -> bool:
        """Whether no queue is left to take messages from."""
        return self._stopped == self._queues

    def holds(self, queue: str) -> bool:
        """Whether a message that still comes from ``queue`` is to go back."""
        return queue in self._stopped

    def connected(self) -> None:
        """All queues are consumed, on a new connection."""
        self._stopped = frozenset()
        self.look()

    def look(self) -> None:
        """Stop and start what is asked for; called again and again."""
        if not self._consumption.is_connected():
            return
        paused, tasks = self._queues & self._directives.paused_queues, self._directives.paused_tasks
        stopping, starting = paused - self._stopped, self._stopped - paused
        is_less = bool(stopping or tasks - self._tasks)
        self._stopped, self._tasks = paused, tasks
        for queue in stopping:
            _log.warning("queue paused; nothing of it is begun", queue=queue)
            self._consumption.stop_queue(queue)
        for queue in starting:
            _log.info("queue resumed", queue=queue)
            self._consumption.start_queue(queue)
        if is_less:
            self._consumption.hand_back_waiting()

"""The line: attempts in hand that wait for a child of the pool, the most urgent first."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Any


class Line:
    """Takes the place of the queue, first in first out, in which Celery's worker waits for its pool.

    The broker hands out the most urgent message there is; one that comes later and is more urgent still must not wait
    behind those that came before it.

    Args:
        semaphore: Celery's own, which counts the pool's free children and calls who waits when one is free.
    """

    def __init__(self, semaphore: Any) -> None:
        self._heap: list[tuple[int, int, Any]] = []
        self._arrival = count()
        semaphore._waiting = self  # noqa: SLF001  it offers no other way
        semaphore._add_waiter = self.append  # noqa: SLF001
        semaphore._pop_waiter = self.popleft  # noqa: SLF001

    def append(self, waiter: Any) -> None:
        """Join the line: ``waiter`` is what to call, with the request as its one positional argument."""
        _call, (request, *_), _named = waiter
        priority = request.delivery_info.get("priority") or 0
        heappush(self._heap, (-priority, next(self._arrival), waiter))

    def popleft(self) -> Any:
        """Whoever is next.

        Raises:
            IndexError: nobody waits.
        """
        return heappop(self._heap)[2]

    def clear(self) -> None:
        """Send everybody home: the connection their messages came on is lost."""
        self._heap.clear()

    def leave(self) -> list[Any]:
        """Send everybody away; their requests, the most urgent first."""
        waiting = [heappop(self._heap)[2] for _ in range(len(self._heap))]
        return [request for _call, (request, *_), _named in waiting]

    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._heap

    def __len__(self) -> int:
        return len(self._heap)

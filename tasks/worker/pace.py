"""The pace: how many messages a worker may have in hand before a child is free for them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

MOST: Final = 64
"""Messages ahead at most, however short the tasks are."""
BUSY_PER_CHILD: Final = 2
"""A worker that has finished fewer attempts per child since the last look takes nothing ahead."""
_WEIGHT: Final = 0.5
"""Of the newest look in the mean."""


class Pace:
    """Follows how long attempts keep a child.

    A message that waits in a worker is out of the broker's order, and out of other workers' reach. Against that stands
    the confirm of an outcome, during which a child would have nothing to do. So a worker takes ahead what its children
    are through with in a moment, and nothing where tasks are longer than that.

    Args:
        allowance: how much work may wait in the worker, by the clock; zero: none, ever.
        children: of the pool.
    """

    def __init__(self, *, allowance: timedelta, children: int) -> None:
        self._allowance_seconds = allowance.total_seconds()
        self._children = children
        self._begun: dict[object, float] = {}
        self._finished = 0
        self._occupied_seconds = 0.0
        self._mean_seconds: float | None = None

    def begin(self, attempt: object, *, now: float) -> None:
        """A child was given ``attempt`` at ``now``, in seconds on a monotonic clock."""
        self._begun[attempt] = now

    def finish(self, attempt: object, *, now: float) -> None:
        """Its child is free again."""
        begun = self._begun.pop(attempt, None)
        if begun is not None:
            self._finished += 1
            self._occupied_seconds += now - begun

    def forget(self, attempts: Collection[object]) -> None:
        """No child will be heard of about ``attempts``: the pool was emptied before they began."""
        for attempt in attempts:
            self._begun.pop(attempt, None)

    def occupied(self) -> list[object]:
        """The attempts that were given to children which are not free again."""
        return list(self._begun)

    def is_stuck(self, *, now: float) -> bool:
        """Whether an attempt has kept its child for so long that nothing may wait behind it."""
        oldest = next(iter(self._begun.values()), now)
        return now - oldest > 2 * self._allowance_seconds

    def ahead(self, *, now: float) -> int:
        """How many messages may be in hand beyond the children; what was finished counts from the last call on."""
        finished, occupied = self._finished, self._occupied_seconds
        self._finished, self._occupied_seconds = 0, 0.0
        if finished < BUSY_PER_CHILD * self._children or self.is_stuck(now=now):
            return 0
        latest = occupied / finished
        known = latest if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = mean = _WEIGHT * latest + (1 - _WEIGHT) * known
        return min(MOST, round(self._allowance_seconds / max(mean, 1e-6) * self._children))

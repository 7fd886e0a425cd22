"""How long to leave something alone that has just failed."""

from __future__ import annotations

from datetime import timedelta


class Backoff:
    """Pauses that double from ``first`` to ``longest`` while failures follow each other.

    Times are seconds of a monotonic clock, given by the caller.
    """

    def __init__(self, *, first: timedelta, longest: timedelta) -> None:
        self._first = first.total_seconds()
        self._longest = longest.total_seconds()
        self._pause = 0.0
        self._until = float("-inf")

    @property
    def is_failing(self) -> bool:
        """Whether the latest try failed."""
        return self._pause > 0

    def fail(self, now: float) -> float:
        """Note a failure; how many seconds to wait before the next try."""
        self._pause = min(self._pause * 2 or self._first, self._longest)
        self._until = now + self._pause
        return self._pause

    def succeed(self) -> None:
        """Note a success: the next failure begins again with the shortest pause."""
        self._pause = 0.0
        self._until = float("-inf")

    def is_over(self, now: float) -> bool:
        """Whether it may be tried."""
        return now >= self._until

"""Pace: how many requests may be made under a name, be it a token's or an address."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NAMES_AT_MOST: Final = 10_000
"""Names that are remembered; of more, the one that has asked for nothing the longest is forgotten."""


@dataclass
class _Bucket:
    left: float
    at: float


class Pace:
    """A token bucket for each name: so many requests a second, and as many at once. For several threads.

    Args:
        per_second: how many.
        names_at_most: how many names are remembered: memory is bounded, whoever comes.
        clock: the present, in seconds.
    """

    def __init__(
        self, per_second: float, *, names_at_most: int = NAMES_AT_MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second)
        self._names_at_most = names_at_most
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_seconds(self, name: str, *, is_counted: bool = True) -> float:
        """0 where a request may be made now; else how long to wait.

        Args:
            name: whose request it is.
            is_counted: whether it is made; else it is only asked whether it might be.
        """
        now = self._clock()
        with self._lock:
            bucket = self._buckets.get(name) or _Bucket(self._most, now)
            left = min(self._most, bucket.left + (now - bucket.at) * self._per_second)
            if left < 1:
                return (1 - left) / self._per_second
            if is_counted:
                self._buckets[name] = _Bucket(left - 1, now)
                self._buckets.move_to_end(name)
                if len(self._buckets) > self._names_at_most:
                    self._buckets.popitem(last=False)
            return 0.0

"""Limits on a task: how often it may begin, and how many may run at once, over all workers together."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, Self

import msgspec

MOST_PERMITS: Final = 1_000_000
LONGEST_PERIOD: Final = timedelta(days=1)
_UNITS: Final = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_RATE: Final = re.compile(r"([1-9][0-9]{0,6})/([smh])")


class RateLimit(msgspec.Struct, frozen=True):
    """At most so many beginnings within any period of that length, spread over it.

    Attributes:
        permits: how many.
        per: the period.
        burst: how many may begin at one moment after a quiet time; None: a tenth of ``permits``, at least one. Room
            for a burst is taken from the steady rate, so that no period ever has more than ``permits``.
    """

    permits: int
    per: timedelta
    burst: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.permits <= MOST_PERMITS or not timedelta(0) < self.per <= LONGEST_PERIOD:
            raise ValueError(f"a rate is 1 to {MOST_PERMITS} in at most {LONGEST_PERIOD}, not {self}")
        if self.burst is not None and not 1 <= self.burst <= self.permits:
            raise ValueError(f"a burst is at least 1 and at most the permits, not {self.burst}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """A rate as people write it: ``20/m``, ``5/s``, ``100/h``.

        Raises:
            ValueError: it is none.
        """
        found = _RATE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no rate; wanted is a number per s, m or h: 20/m")
        return cls(int(found[1]), _UNITS[found[2]])

    @property
    def burst_permits(self) -> int:
        """How many may begin at one moment."""
        return self.burst or max(1, self.permits // 10)

    @property
    def interval(self) -> timedelta:
        """From one beginning to the next, while there is no room for a burst.

        With ``burst`` b and interval T no period p has more than p/T + b - 1 beginnings (the generic cell rate
        algorithm's bound, ITU-T I.371), which is to be ``permits``.
        """
        return self.per / (self.permits - self.burst_permits + 1)

    def __str__(self) -> str:
        """As :meth:`parse` reads it, where it can."""
        unit = next((name for name, length in _UNITS.items() if length == self.per), None)
        return f"{self.permits}/{unit}" if unit else f"{self.permits} per {self.per}"


class ConcurrencyLimit(msgspec.Struct, frozen=True):
    """At most so many at once.

    Attributes:
        most: how many.
        key: name of the keyword argument whose every value is limited by itself; ``license_id`` is also looked for in
            the message's header. None: the task as a whole.
    """

    most: int
    key: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST_PERMITS:
            raise ValueError(f"a concurrency is 1 to {MOST_PERMITS}, not {self.most}")

    def __str__(self) -> str:
        return f"{self.most} at once" + (f" for each {self.key}" if self.key else "")


class Limits(msgspec.Struct, frozen=True):
    """What holds for a task; None: no limit of that kind."""

    rate: RateLimit | None = None
    concurrency: ConcurrencyLimit | None = None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.rate is not None or self.concurrency is not None

    def __str__(self) -> str:
        return ", ".join(str(limit) for limit in (self.rate, self.concurrency) if limit is not None) or "no limits"


NO_LIMITS: Final = Limits()

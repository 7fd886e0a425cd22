"""Do the clocks of this host, the broker and the database agree? Time limits, ETAs and log time count on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from infra.doctor.finding import Finding

TOLERANCE: Final = timedelta(seconds=1)


class Reading(NamedTuple):
    """What another clock said between two looks at ours, and how coarse it is."""

    whose: str
    said: datetime
    before: datetime
    after: datetime
    grain: timedelta = timedelta()

    @property
    def skew(self) -> timedelta:
        """By how much at least it is ahead of ours (behind: negative); nothing where it may agree."""
        if self.said > self.after:
            return self.said - self.after
        latest = self.said + self.grain
        return latest - self.before if latest < self.before else timedelta()


def read(whose: str, ask: Callable[[], datetime], clock: Callable[[], datetime], grain: timedelta) -> Reading:
    """Ask a clock between two looks at ours."""
    before = clock()
    said = ask()
    return Reading(whose, said, before, clock(), grain)


def clocks(readings: list[Reading]) -> Iterator[Finding]:
    """Clocks that differ from this host's by more than a second."""
    for reading in readings:
        skew = reading.skew
        if abs(skew) > TOLERANCE:
            side = "ahead of" if skew > timedelta() else "behind"
            yield Finding(
                check="clock_skew",
                where=f"clock of {reading.whose}",
                what=f"is at least {abs(skew).total_seconds():.1f} s {side} this host's",
                remedy="Synchronize both (chrony, systemd-timesyncd)",
            )

"""Whether the loops of a projector's threads turn, each noted by its own thread."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Self


class Turning:
    """The loop of one projection. Its thread writes, the main thread reads; every field is assigned whole."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.leads = False
        self.troubled = False

    def turn(self, *, leads: bool = False, troubled: bool = False) -> None:
        """The loop turns; whether its projection is led here, and whether what it needs is away."""
        self.leads, self.troubled, self.at = leads, troubled, time.monotonic()


class Turns(NamedTuple):
    """All loops of a projector at one moment.

    Attributes:
        slowest_at: when the one that has stood still for longest turned, by the monotonic clock.
        leading: projections led here.
        troubled: projections that wait for the database or an archive.
    """

    slowest_at: float
    leading: int
    troubled: tuple[str, ...]

    @classmethod
    def of(cls, loops: Mapping[str, Turning]) -> Self:
        """From the loops by projection."""
        troubled = tuple(sorted(name for name, loop in loops.items() if loop.troubled))
        slowest_at = min((loop.at for loop in loops.values()), default=time.monotonic())
        return cls(slowest_at, sum(loop.leads for loop in loops.values()), troubled)

    @property
    def ready(self) -> bool:
        """Whether no projection waits for what is away."""
        return not self.troubled

    def as_state(self) -> dict[str, Any]:
        """What the process says of itself."""
        return {"leads": self.leading, "troubled": list(self.troubled)}

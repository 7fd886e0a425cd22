"""Tiers: how urgent a run is. Each tier has a queue and workers of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Tier(StrEnum):
    """The four classes of urgency, most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def queue(self) -> str:
        """Name of the tier's queue on the broker."""
        return f"tasks.{self.value}"

    @property
    def max_priority(self) -> int:
        """Highest message priority the tier's queue orders by (its ``x-max-priority``).

        Few levels on purpose: every level is a sub-queue of its own in the broker, and 255 levels cost
        twenty times the throughput of none.
        """
        return _MAX_PRIORITY[self]

    @property
    def default_priority(self) -> int:
        """Priority of a run that asks for none: the middle, so that there is room on both sides."""
        return self.max_priority // 2

    def clamp(self, priority: int | None) -> int:
        """``priority`` as the tier's queue can order it: 0 … ``max_priority``; None is the default."""
        return self.default_priority if priority is None else max(0, min(priority, self.max_priority))


_MAX_PRIORITY: Final = {Tier.CRITICAL: 10, Tier.HIGH: 8, Tier.NORMAL: 5, Tier.LOW: 2}

TIER_OF_QUEUE: Final = {tier.queue: tier for tier in Tier}
"""By the name of a queue its tier; other queues have none."""

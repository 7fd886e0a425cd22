"""Which of the platform's long-lived processes one is."""

from __future__ import annotations

from enum import StrEnum

from domain.tier import Tier


class ProcessName(StrEnum):
    """As metrics, pulse, probes and health call it."""

    INGEST = "ingest"
    DISPATCH = "dispatch"
    PROJECTOR = "projector"
    SCHEDULER = "scheduler"
    WORKER_CRITICAL = "worker-critical"
    WORKER_HIGH = "worker-high"
    WORKER_NORMAL = "worker-normal"
    WORKER_LOW = "worker-low"
    MONITOR = "monitor"
    WEB = "web"

    @classmethod
    def of_worker(cls, tier: Tier) -> ProcessName:
        """The worker of one tier."""
        return cls(f"worker-{tier.value}")

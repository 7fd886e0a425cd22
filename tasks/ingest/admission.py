"""Admission: whether a tier's backlog has room for another request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from domain.backpressure import BacklogFull
from domain.messages import TaskRequestedData
from domain.tier import Tier
from infra.event_store import EventStore

COUNT_SECONDS: Final = 1.0
"""How old the count of a backlog may be."""


class Admission:
    """Refuses requests for tiers whose backlog is full, where a limit is set.

    The backlog is counted at most once a second; what this process has let in since is added. Several ingests do not
    know of each other's within that second, so by that much the limit may be passed.

    Args:
        store: where the backlog is counted.
        limit_runs: accepted runs of a tier not yet published that are allowed; None: any number.
        clock: seconds, monotonic.
    """

    def __init__(
        self, store: EventStore, *, limit_runs: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._limit_runs = limit_runs
        self._clock = clock
        self._counted_at: dict[Tier, float] = {}
        self._backlogs: dict[Tier, int] = {}

    def refusal(self, request: TaskRequestedData, stream_id: str) -> BacklogFull | None:
        """Why the request is not accepted, if it is not; else it counts as accepted.

        Args:
            request: what is asked for.
            stream_id: stream of the run it would become.
        """
        if self._limit_runs is None:
            return None
        tier = request.tier
        self._count(tier, self._limit_runs)
        if self._backlogs[tier] >= self._limit_runs and not request.force:
            limit = self._limit_runs
            return BacklogFull(stream_id, tier=tier.value, backlog_runs=self._backlogs[tier], limit_runs=limit)
        self._backlogs[tier] += 1
        return None

    def _count(self, tier: Tier, limit_runs: int) -> None:
        now = self._clock()
        if now - self._counted_at.get(tier, float("-inf")) > COUNT_SECONDS:
            self._counted_at[tier] = now
            self._backlogs[tier] = self._store.backlog(tier, most=limit_runs)

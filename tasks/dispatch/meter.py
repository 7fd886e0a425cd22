"""What dispatch shows of its work, as metrics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from domain.tier import Tier
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from tasks.dispatch.lane import Lane
from tasks.dispatch.parcel import Parcel
from tasks.dispatch.pressure import Pressure


class DispatchMeter:
    """Counts runs on their way to the broker.

    Args:
        instruments: those of dispatch.
    """

    def __init__(self, instruments: Instruments) -> None:
        self._published = {tier: instruments.counter(catalog.DISPATCH_PUBLISHED, tier.value) for tier in Tier}
        self._left = {tier: instruments.counter(catalog.DISPATCH_LEFT, tier.value) for tier in Tier}
        self._wait = {tier: instruments.histogram(catalog.DISPATCH_WAIT, tier.value) for tier in Tier}
        self._append = instruments.histogram(catalog.DISPATCH_APPEND)

    def published(self, tier: Tier, *, waited: timedelta) -> None:
        """The broker confirmed a run that had been accepted so long before."""
        self._published[tier].inc()
        self._wait[tier].observe(max(0.0, waited.total_seconds()))  # two clocks: the database's and ours

    def recorded(self, parcels: Iterable[Parcel], *, seconds: float) -> None:
        """What became of a page is stored; that took ``seconds``."""
        self._append.observe(seconds)
        for parcel in parcels:
            if parcel.left:
                self._left[parcel.lane.tier].inc(len(parcel.left))


def show_held(instruments: Instruments, lanes: Iterable[Lane], pressure: Pressure) -> None:
    """Have it looked up at each look which lanes wait for room in their queues."""
    for lane in lanes:
        gauge = instruments.gauge(catalog.DISPATCH_HELD, lane.tier.value)
        gauge.set_function(lambda lane=lane: float(pressure.is_held(lane)))  # type: ignore[misc]

"""What the scheduler shows of the slots of schedules, as metrics."""

from __future__ import annotations

from collections.abc import Iterable

from domain.aggregate import Event
from domain.schedule_events import ScheduleFired, ScheduleSlotSkipped, ScheduleSlotsMissed
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from tasks.scheduler.shipped import ShippedSchedule


class SlotMeter:
    """Counts what becomes of slots. For one thread.

    Schedules that people add may be many, and single moments among them: those count as ``other``.

    Args:
        instruments: those of the scheduler.
        shipped: the schedules that count under their own names.
    """

    def __init__(self, instruments: Instruments, shipped: Iterable[ShippedSchedule]) -> None:
        self._instruments = instruments
        self._names = {each.name for each in shipped}

    def settled(self, event: Event) -> None:
        """A fact about slots was stored."""
        match event:
            case ScheduleFired():
                name = self._label(event.schedule)
                self._instruments.counter(catalog.SLOTS_FIRED, name).inc()
                late = (event.timestamp - event.slot_at).total_seconds()
                self._instruments.histogram(catalog.SLOT_LATENESS, name).observe(late)
            case ScheduleSlotSkipped():
                self._instruments.counter(catalog.SLOTS_SKIPPED, self._label(event.schedule)).inc()
            case ScheduleSlotsMissed():
                missed = 1 if event.slots is None else event.slots
                self._instruments.counter(catalog.SLOTS_MISSED, self._label(event.schedule)).inc(missed)

    def _label(self, schedule: str) -> str:
        return schedule if schedule in self._names else catalog.OTHER

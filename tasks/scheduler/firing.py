"""Firing: the fact that a slot came, stored once however many schedulers see it come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

import structlog

from domain.cause import Cause
from domain.schedule import Schedule
from infra.event_store import EventStore, Log, NewEvent, caused
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from tasks.scheduler.shipped import ACTOR

SLOT_NAMESPACE: Final = UUID("0192d7a5-7c11-7d52-8a02-736c6f740000")
"""Namespace (RFC 9562, name-based UUIDs) of the causes that slots are."""

log = structlog.get_logger(__name__)


class Firing:
    """Fires the slots of some schedules as they come.

    Each slot has a stream of its own with room for one event, so a slot cannot be fired twice, whoever tries. After
    an outage only the latest slot is fired: the work of the shipped schedules looks at the state of things and not at
    the slot, so the missed slots in between would find nothing left to do.
    """

    def __init__(
        self, store: EventStore, schedules: Sequence[Schedule], *, instruments: Instruments | None = None
    ) -> None:
        self._store = store
        self._instruments = instruments
        self._schedules = schedules
        self._latest: dict[str, datetime] = {}

    def fire_due(self, now: datetime) -> int:
        """Fire every slot that has come by ``now`` and has not been seen to; how many this call fired.

        A slot that was fired before, by a leader before us or by one that does not know yet that it is none, is
        found taken and is left as it is.
        """
        due = [(schedule, slot) for schedule in self._schedules if (slot := self._due(schedule, now))]
        if not due:
            return 0
        verdicts = self._store.append_each(Log.LICENSING, [_fired(schedule, slot, at=now) for schedule, slot in due])
        for (schedule, slot), verdict in zip(due, verdicts, strict=True):
            self._note(schedule, slot, outcome=verdict.outcome, at=now)
        return sum(verdict.outcome == "stored" for verdict in verdicts)

    def next_due(self, now: datetime) -> datetime:
        """When the next slot comes.

        Raises:
            ValueError: there is no schedule.
        """
        return min(schedule.slot_at(now) + timedelta(seconds=schedule.every_seconds) for schedule in self._schedules)

    def _due(self, schedule: Schedule, now: datetime) -> datetime | None:
        slot = schedule.slot_at(now)
        latest = self._latest.get(schedule.name)
        # A clock that was set back brings old slots again; they have had their turn.
        return slot if latest is None or slot > latest else None

    def _note(self, schedule: Schedule, slot: datetime, *, outcome: str, at: datetime) -> None:
        latest = self._latest.get(schedule.name)
        self._latest[schedule.name] = slot
        missed = 0 if latest is None else round((slot - latest).total_seconds() / schedule.every_seconds) - 1
        if self._instruments is not None and latest is not None:  # the first slot of a term may long have passed
            self._instruments.counter(catalog.SLOTS_MISSED, schedule.name).inc(max(0, missed))
            self._instruments.histogram(catalog.SLOT_LATENESS, schedule.name).observe((at - slot).total_seconds())
        if missed:
            log.warning("slots were missed; only the latest is fired", schedule=schedule.name, missed=missed)
        if outcome == "stored":
            log.info("slot fired", schedule=schedule.name, slot=slot.isoformat())
            if self._instruments is not None:
                self._instruments.counter(catalog.SLOTS_FIRED, schedule.name).inc()
        else:
            log.debug("slot was fired before", schedule=schedule.name, slot=slot.isoformat(), outcome=outcome)


def _fired(schedule: Schedule, slot: datetime, *, at: datetime) -> NewEvent:
    event = schedule.fire(slot, at=at)
    cause = Cause(id=uuid5(SLOT_NAMESPACE, event.originator_id), at=slot, actor=ACTOR)
    return caused([event], cause)[0]

"""Firing: the fact that a slot came, stored once however many schedulers see it come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Final, NamedTuple
from uuid import UUID, uuid5

import structlog

from domain.aggregate import Event
from domain.cause import Cause
from domain.due import Due, due
from domain.schedule import Schedule, scheduled_run_id
from domain.schedule_events import ScheduleFired, ScheduleSlotsMissed
from domain.schedule_terms import CatchUp, Overlap
from infra.event_store import EventStore, Log, NewEvent, caused
from tasks.scheduler.meter import SlotMeter
from tasks.scheduler.register import Register
from tasks.scheduler.shipped import ACTOR

SLOT_NAMESPACE: Final = UUID("0192d7a5-7c11-7d52-8a02-736c6f740000")
"""Namespace (RFC 9562, name-based UUIDs) of the causes that slots are."""
MOST_SLOTS: Final = 100
"""Slots of one schedule that are fired in one step; the next goes on."""
MOST_SCHEDULES: Final = 100
"""Schedules whose slots are fired in one step: with the above, what one append holds."""
LOOK_AGAIN: Final = timedelta(seconds=0.5)
"""After so long it is looked again whether the run has ended that a slot waits for."""
EARLIER_RUNS: Final = 10
"""Of so many runs of a schedule, the latest, it is asked whether they have ended; more are open only if somebody fired
it by hand, or where overlapping was allowed before."""

log = structlog.get_logger(__name__)


class _Settled(NamedTuple):
    """What becomes of some slots of a schedule: one fact, and the slot up to which it speaks."""

    schedule: str
    upto: datetime
    new: NewEvent


class Firing:
    """Fires the slots of all schedules as they come.

    Each slot has a stream of its own with room for one event, so that one thing becomes of it, whoever tries.
    """

    def __init__(self, store: EventStore, *, meter: SlotMeter | None = None) -> None:
        self._store = store
        self._meter = meter
        self._register = Register(store)
        self._heap: list[tuple[datetime, str]] = []
        self._when: dict[str, datetime] = {}

    def step(self, now: datetime) -> int:
        """Learn what was done about schedules, and fire what has come by ``now``; how many slots this call fired.

        A slot that was fired before, by a leader before us or by one that does not know yet that it is none, is
        found taken and is left as it is.
        """
        for name in self._register.look():
            self._await(name, self._register.next_slot(name))
        return self._fire([self._register.schedules[name] for name in self._come(now)], now)

    def next_due(self) -> datetime | None:
        """When to look at the clock again; None: no slot is to come."""
        while self._heap and self._when.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _await(self, name: str, moment: datetime | None) -> None:
        if moment is None:
            self._when.pop(name, None)
        elif self._when.get(name) != moment:
            self._when[name] = moment
            heappush(self._heap, (moment, name))

    def _come(self, now: datetime) -> list[str]:
        names: list[str] = []
        while len(names) < MOST_SCHEDULES and (moment := self.next_due()) is not None and moment <= now:
            name = heappop(self._heap)[1]
            del self._when[name]
            names.append(name)
        return names

    def _fire(self, schedules: list[Schedule], now: datetime) -> int:
        """Store what becomes of slots; that some were missed only after another look at what others made of them.

        Those have no places that could be found taken, and a leader that was frozen remembers less than is in the log.
        """
        found = {schedule.name: self._settle(schedule, now) for schedule in schedules}
        further = self._register.look_again([name for name, facts in found.items() if _say_missed(facts)])
        for name in further:
            found[name] = self._settle(self._register.schedules[name], now)
        settled = [each for facts in found.values() for each in facts]
        verdicts = self._store.append_each(Log.LICENSING, [each.new for each in settled]) if settled else []
        for each, verdict in zip(settled, verdicts, strict=True):
            self._register.note(each.schedule, each.upto)
            _tell(each.new.event, outcome=verdict.outcome)
            if self._meter is not None and verdict.outcome == "stored":
                self._meter.settled(each.new.event)
        decided = {each.schedule for each in settled} | further
        for schedule in schedules:
            moment = self._register.next_slot(schedule.name) if schedule.name in decided else now + LOOK_AGAIN
            self._await(schedule.name, moment)
        stored = (each for each, verdict in zip(settled, verdicts, strict=True) if verdict.outcome == "stored")
        return sum(isinstance(each.new.event, ScheduleFired) for each in stored)

    def _settle(self, schedule: Schedule, now: datetime) -> list[_Settled]:
        """What becomes of the slots of a schedule that have come; nothing yet where they wait."""
        found = due(schedule, seen=self._register.seen.get(schedule.name), now=now, most=MOST_SLOTS)
        overlap = Overlap.ALLOW if schedule.terms is None else schedule.terms.overlap
        open_run = None if overlap is Overlap.ALLOW or not found.slots else self._open_run(schedule.name)
        if overlap is Overlap.QUEUE:
            if open_run is not None and schedule.terms is not None and schedule.terms.catch_up is CatchUp.LAST:
                return []  # which of them is the latest is known when it can be fired
            found = Due(found.missed, found.slots[: 0 if open_run else 1])
        return list(_facts(schedule, found, now=now, open_run=open_run, alone=overlap is not Overlap.ALLOW))

    def _open_run(self, name: str) -> UUID | None:
        """A run of the schedule that has not ended."""
        fired = self._store.fired_slots(name, limit=EARLIER_RUNS)
        runs = [scheduled_run_id(slot.event_id, slot.at) for slot in fired]
        ended = self._store.ended_runs([str(run) for run in runs])
        return next((run for run in runs if str(run) not in ended), None)


def _say_missed(facts: Iterable[_Settled]) -> bool:
    return any(isinstance(each.new.event, ScheduleSlotsMissed) for each in facts)


def _facts(schedule: Schedule, found: Due, *, now: datetime, open_run: UUID | None, alone: bool) -> Iterable[_Settled]:
    """The facts in order; ``alone``: while a run is open no other slot is fired."""
    if found.missed is not None:
        first, last, counted = found.missed
        yield _settled(schedule, last, schedule.miss(first, last, slots=counted, at=now), cause_at=first)
    for slot, terms in found.slots:
        if alone and open_run is not None:
            skipped = schedule.skip(slot, terms=terms, open_run_id=str(open_run), at=now)
            yield _settled(schedule, slot, skipped, cause_at=slot)
        else:
            fired = _settled(schedule, slot, schedule.fire(slot, terms=terms, at=now), cause_at=slot)
            open_run = scheduled_run_id(fired.new.event_id, now)
            yield fired


def _settled(schedule: Schedule, upto: datetime, event: Event, *, cause_at: datetime) -> _Settled:
    cause = Cause(id=uuid5(SLOT_NAMESPACE, event.originator_id), at=cause_at, actor=ACTOR)
    return _Settled(schedule.name, upto, caused([event], cause)[0])


def _tell(event: Event, *, outcome: str) -> None:
    if outcome != "stored":
        log.debug("slot was seen to before", stream=event.originator_id, outcome=outcome)
    elif isinstance(event, ScheduleSlotsMissed):
        log.warning("slots were missed", **event.data())
    elif isinstance(event, ScheduleFired):
        late = (event.timestamp - event.slot_at).total_seconds()
        log.info("slot fired", schedule=event.schedule, slot=event.slot_at.isoformat(), late_seconds=late)
    else:
        log.info("slot skipped", **event.data())

"""What people do about schedules, written straight into the log; and what schedulers made of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

from domain.cause import Cause
from domain.schedule import Schedule, schedule_stream
from domain.schedule_events import (
    ScheduleEvent,
    ScheduleFired,
    ScheduleFiredByHand,
    ScheduleSlotSkipped,
    ScheduleSlotsMissed,
)
from domain.schedule_terms import Terms
from infra.event_store import EventStore, Log, caused


class Desk:
    """People at one store."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def schedule(self, name: str) -> Schedule:
        schedule = Schedule(name)
        for event in self._store.load(Log.LICENSING, [schedule.stream]).get(schedule_stream(name), []):
            schedule = schedule.after(event)
        return schedule

    def do(self, name: str, verb: Callable[[Schedule], ScheduleEvent | ScheduleFiredByHand], *, at: datetime) -> None:
        event = verb(self.schedule(name))
        self._store.append(Log.LICENSING, caused([event], Cause(id=uuid4(), at=at, actor="ada")))

    def add(self, name: str, terms: Terms, *, at: datetime, since: datetime | None = None) -> None:
        self.do(name, lambda schedule: schedule.declare(terms, at=at, since=since), at=at)

    def change(self, name: str, terms: Terms, *, at: datetime) -> None:
        self.do(name, lambda schedule: schedule.change(terms, at=at), at=at)

    def fired(self, name: str) -> list[datetime]:
        """The slots of a schedule that were fired, in the order of the log."""
        return [event.slot_at for event in self.settled(name) if isinstance(event, ScheduleFired)]

    def settled(self, name: str) -> list[ScheduleFired | ScheduleSlotSkipped | ScheduleSlotsMissed]:
        """Everything that became of slots of a schedule."""
        names = (ScheduleFired.TOPIC, ScheduleSlotSkipped.TOPIC, ScheduleSlotsMissed.TOPIC)
        found, after = [], 0
        while True:
            page = self._store.read(Log.LICENSING, after=after, limit=5000, names=names)
            if page.position == after:
                return found
            after = page.position
            for recorded in page.events:
                event = recorded.event
                assert isinstance(event, ScheduleFired | ScheduleSlotSkipped | ScheduleSlotsMissed)
                if event.schedule == name:
                    found.append(event)

"""What people do about schedules, written straight into the log; and what schedulers made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
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

    def add_all(self, names: Sequence[str], terms: Terms, *, at: datetime) -> None:
        """Many new schedules of the same terms."""
        for first in range(0, len(names), 1000):
            events = [Schedule(name).declare(terms, at=at) for name in names[first : first + 1000]]
            self._store.append(Log.LICENSING, caused(events, Cause(id=uuid4(), at=at, actor="ada")))

    def change(self, name: str, terms: Terms, *, at: datetime) -> None:
        self.do(name, lambda schedule: schedule.change(terms, at=at), at=at)

    def times_fired(self, names: Collection[str]) -> dict[str, int]:
        """How many slots of each of these schedules were fired; those without any are not in it."""
        wanted, fired, after = set(names), Counter[str](), 0
        while True:
            page = self._store.read(Log.LICENSING, after=after, limit=5000, names=(ScheduleFired.TOPIC,))
            if page.position == after:
                return {name: times for name, times in fired.items() if name in wanted}
            after = page.position
            fired.update(each.event.schedule for each in page.events if isinstance(each.event, ScheduleFired))

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

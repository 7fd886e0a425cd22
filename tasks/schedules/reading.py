"""Schedules as the log has them, for people: the removed ones and those that are over too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Final

from domain.due import next_due
from domain.schedule import Schedule, schedule_stream
from infra.event_store import EventStore, Log, Recorded

PAGE_EVENTS: Final = 5_000


def story(store: EventStore, name: str) -> list[Recorded]:
    """What was done about a schedule, in order; empty where there never was one."""
    stream = schedule_stream(name)
    return store.load_recorded(Log.LICENSING, [stream]).get(stream, [])


def folded(name: str, told: list[Recorded]) -> Schedule:
    """The schedule that a story tells."""
    schedule = Schedule(name)
    for recorded in told:
        schedule = schedule.after(recorded.event)
    return schedule


def every_schedule(store: EventStore) -> list[Schedule]:
    """All that were ever declared, by name."""
    schedules: dict[str, Schedule] = {}
    position, is_all = 0, False
    while not is_all:
        told = store.schedule_events(after=position, limit=PAGE_EVENTS)
        for event in told.events:
            name = event.originator_id.removeprefix(schedule_stream(""))
            schedules[name] = (schedules.get(name) or Schedule(name)).after(event)
        position, is_all = told.position, told.is_all
    return [schedules[name] for name in sorted(schedules)]


def next_slots(schedule: Schedule, *, seen: datetime | None, most: int) -> list[datetime]:
    """The slots that come next and that nobody has seen to; none while it is paused."""
    return list(islice(_slots(schedule, seen), most))


def _slots(schedule: Schedule, seen: datetime | None) -> Iterator[datetime]:
    while (slot := next_due(schedule, seen=seen)) is not None:
        yield slot
        seen = slot

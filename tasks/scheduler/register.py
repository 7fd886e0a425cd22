"""The register: the schedules that have slots to come, as the log tells them while it grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
import structlog

from domain.aggregate import Event
from domain.due import next_due
from domain.schedule import Schedule, schedule_stream
from domain.timetable import next_slot
from infra.event_store import EventStore, EventUnreadableError, Log

PAGE_EVENTS: Final = 5_000

log = structlog.get_logger(__name__)


class Register:
    """Schedules with slots to come; one that has none, or none that can be told here, is not kept.

    Attributes:
        schedules: by name.
        seen: the slot of each up to which somebody has seen to them; nobody has to any of one that is not in it.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self.schedules: dict[str, Schedule] = {}
        self.seen: dict[str, datetime] = {}

    def look(self) -> set[str]:
        """Read what was done about schedules since the last look; the names of those it was done about."""
        touched: set[str] = set()
        is_all = False
        while not is_all:
            told = self._store.schedule_events(after=self._position, limit=PAGE_EVENTS)
            for unreadable in told.unreadable:
                log.error("this version cannot read what was done about a schedule", event=unreadable)
            touched.update(self._fold(told.events))
            self._position, is_all = told.position, told.is_all
        for name in touched:
            self.schedules[name] = _readable(self.schedules[name])
        self.seen.update(self._store.settled_slots([name for name in touched if name not in self.seen]))
        return touched

    def next_slot(self, name: str) -> datetime | None:
        """The first slot of a schedule that nobody has seen to; a schedule without any is forgotten."""
        known = self.schedules.get(name)
        found = None if known is None else next_due(known, seen=self.seen.get(name))
        if found is None:
            self.schedules.pop(name, None)
            self.seen.pop(name, None)
        return found

    def note(self, name: str, slot: datetime) -> None:
        """Somebody has seen to the slots of a schedule up to ``slot``."""
        self.seen[name] = max(slot, self.seen.get(name, slot))
        self.schedules[name] = self.schedules[name].seen_to(slot)

    def look_again(self, names: Collection[str]) -> set[str]:
        """Read up to where somebody has seen to the slots of schedules; the names of those who are further by that."""
        found = self._store.settled_slots(names)
        further = {name for name, slot in found.items() if name not in self.seen or slot > self.seen[name]}
        for name in further:
            self.note(name, found[name])
        return further

    def _fold(self, events: Sequence[Event]) -> set[str]:
        begun = {_name(event) for event in events if event.originator_version == 1}
        touched = {_name(event) for event in events}
        # One by one: what is taken from a set is looked for among all that are known.
        self._recall([name for name in touched if name not in begun and name not in self.schedules])
        for event in events:
            known = self.schedules.get(_name(event)) or Schedule(_name(event))
            if event.originator_version > known.version:
                self.schedules[known.name] = known.after(event)
        return touched

    def _recall(self, names: Collection[str]) -> None:
        """Read schedules anew that were forgotten."""
        for name in names:
            schedule = Schedule(name)
            try:
                for event in self._store.load(Log.LICENSING, [schedule.stream]).get(schedule.stream, []):
                    schedule = schedule.after(event)
            except EventUnreadableError as error:
                log.error("this version cannot follow a schedule", schedule=name, reason=str(error))  # noqa: TRY400
            else:
                self.schedules[name] = schedule


def _readable(schedule: Schedule) -> Schedule:
    """The schedule without the eras that nobody can follow here: in a time zone that this machine does not know."""
    kept = []
    for era in schedule.eras:
        try:
            next_slot(era.terms.timetable, era.after)
        except ValueError as error:
            log.error("this schedule cannot be followed here", schedule=schedule.name, reason=str(error))  # noqa: TRY400
        else:
            kept.append(era)
    return schedule if len(kept) == len(schedule.eras) else msgspec.structs.replace(schedule, eras=tuple(kept))


def _name(event: Event) -> str:
    return event.originator_id.removeprefix(schedule_stream(""))

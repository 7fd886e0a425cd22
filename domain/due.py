"""What is due of a schedule: the slots to be fired, and those that it is too late for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

from domain.schedule import Era, Schedule
from domain.schedule_terms import Terms
from domain.timetable import latest_slot, next_slot, slots

COUNTED: Final = 10_000
"""Missed slots are counted up to here."""
_MOMENT: Final = timedelta(microseconds=1)


class Slot(NamedTuple):
    """A slot, and the terms that held when it came."""

    at: datetime
    terms: Terms


class Missed(NamedTuple):
    """Slots that it is too late for; ``counted`` None: more than anybody counts."""

    first: datetime
    last: datetime
    counted: int | None


class Due(NamedTuple):
    """What is to be done: first to say what was missed, and then to fire, in order."""

    missed: Missed | None
    slots: list[Slot]


def due(schedule: Schedule, *, seen: datetime | None, now: datetime, most: int) -> Due:
    """What is due at ``now``.

    Args:
        schedule: as it is.
        seen: the latest slot that somebody has seen to; None: none has been.
        now: UTC.
        most: slots to be fired at once; the later ones are due the next time.
    """
    if schedule.terms is None or not schedule.eras:
        return Due(None, [])
    oldest = schedule.terms.oldest(now)
    if oldest is None:
        latest = _latest(schedule, after=seen, upto=now)
        found = [] if latest is None else [latest]
        return Due(None if latest is None else _missed(schedule, after=seen, before=latest.at), found)
    after = oldest - _MOMENT if seen is None or seen < oldest else seen
    return Due(_missed(schedule, after=seen, before=oldest), list(islice(_slots(schedule, after, now), most)))


def next_due(schedule: Schedule, *, seen: datetime | None) -> datetime | None:
    """When the first slot comes that nobody has seen to; None: none does."""
    for era in schedule.eras:
        slot = next_slot(era.terms.timetable, _later(era.after, seen))
        if slot is not None and (era.upto is None or slot <= era.upto):
            return slot
    return None


def _slots(schedule: Schedule, after: datetime | None, upto: datetime) -> Iterator[Slot]:
    for era in schedule.eras:
        for slot in slots(era.terms.timetable, after=_later(era.after, after), upto=_end(era, upto)):
            yield Slot(slot, era.terms)


def _latest(schedule: Schedule, *, after: datetime | None, upto: datetime) -> Slot | None:
    for era in reversed(schedule.eras):
        slot = latest_slot(era.terms.timetable, after=_later(era.after, after), upto=_end(era, upto))
        if slot is not None:
            return Slot(slot, era.terms)
    return None


def _missed(schedule: Schedule, *, after: datetime | None, before: datetime) -> Missed | None:
    upto = before - _MOMENT
    found = list(islice(_slots(schedule, after, upto), COUNTED + 1))
    if not found:
        return None
    if len(found) <= COUNTED:
        return Missed(found[0].at, found[-1].at, len(found))
    last = _latest(schedule, after=after, upto=upto) or found[-1]
    return Missed(found[0].at, last.at, None)


def _later(moment: datetime, other: datetime | None) -> datetime:
    return moment if other is None else max(moment, other)


def _end(era: Era, upto: datetime) -> datetime:
    return upto if era.upto is None else min(era.upto, upto)

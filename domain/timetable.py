"""Timetables: when the slots of a schedule come. Values; every slot of theirs follows from them alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

import msgspec

from domain.cron import check_cron, cron_slots
from domain.moment import BOUNDS, is_within_bounds

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SHORTEST_INTERVAL: Final = timedelta(seconds=1)
"""Each slot is an event that is kept for ever, and a turn of the one leader that fires all schedules."""
LONGEST_INTERVAL: Final = timedelta(days=366)
LOOKS_BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=400))
"""How far before a moment its latest slot is looked for at first, and then."""


class TimetableInvalid(ValueError):  # noqa: N818  what somebody asked for, no fault of ours
    """No schedule can go by this; the message says what is allowed."""


class Cron(msgspec.Struct, frozen=True, tag_field="kind", tag="cron"):
    """By the clocks of a place.

    Attributes:
        expression: five fields, or a shorthand; see :mod:`domain.cron`.
        zone: IANA name of the time zone whose clocks are meant.
    """

    expression: str
    zone: str = "UTC"

    def slots_after(self, moment: datetime) -> Iterator[datetime]:
        """Every slot later than ``moment``, in order."""
        return cron_slots(self.expression, self.zone, after=moment)

    def check(self) -> None:
        """Raise ValueError where it means nothing."""
        check_cron(self.expression, self.zone)

    def __str__(self) -> str:
        return f"cron {self.expression} {self.zone}"


class Interval(msgspec.Struct, frozen=True, tag_field="kind", tag="interval"):
    """Again and again after the same stretch of time, whatever clocks show.

    Attributes:
        every_seconds: from slot to slot.
        anchor: a moment that is a slot, or would have been; every other is a whole number of intervals away.
    """

    every_seconds: float
    anchor: datetime = EPOCH

    @property
    def every(self) -> timedelta:
        """From slot to slot."""
        return timedelta(seconds=self.every_seconds)

    def slots_after(self, moment: datetime) -> Iterator[datetime]:
        """Every slot later than ``moment``, in order."""
        anchor, every = self.anchor, self.every
        return (anchor + number * every for number in count((moment - anchor) // every + 1))

    def check(self) -> None:
        """Raise ValueError where nothing can go by it."""
        # The number is looked at: not every one makes a timedelta.
        if not SHORTEST_INTERVAL.total_seconds() <= self.every_seconds <= LONGEST_INTERVAL.total_seconds():
            raise TimetableInvalid(
                f"{self.every_seconds:g} s is no interval; allowed are {SHORTEST_INTERVAL.total_seconds():g} s"
                f" to {LONGEST_INTERVAL.days} days"
            )
        _check_moment(self.anchor)

    def __str__(self) -> str:
        return f"every {self.every_seconds:g} s" + ("" if self.anchor == EPOCH else f" from {self.anchor.isoformat()}")


class Once(msgspec.Struct, frozen=True, tag_field="kind", tag="once"):
    """At one moment, and never again."""

    at: datetime

    def slots_after(self, moment: datetime) -> Iterator[datetime]:
        """The slot, if it is later than ``moment``."""
        return iter((self.at,) if self.at > moment else ())

    def check(self) -> None:
        """Raise ValueError where nothing of ours can hold the moment."""
        _check_moment(self.at)

    def __str__(self) -> str:
        return f"once at {self.at.isoformat()}"


Timetable = Cron | Interval | Once


def slots(timetable: Timetable, *, after: datetime, upto: datetime) -> Iterator[datetime]:
    """The slots with ``after < slot <= upto``, in order."""
    for slot in timetable.slots_after(after):
        if slot > upto:
            return
        yield slot


def next_slot(timetable: Timetable, after: datetime) -> datetime | None:
    """The first slot later than ``after``; None: there is none any more."""
    return next(timetable.slots_after(after), None)


def latest_slot(timetable: Timetable, *, after: datetime, upto: datetime) -> datetime | None:
    """The last of the slots with ``after < slot <= upto``; None where there is none."""
    if isinstance(timetable, Interval):
        latest = timetable.anchor + (upto - timetable.anchor) // timetable.every * timetable.every
        return latest if latest > after else None
    for back in LOOKS_BACK:
        if upto - back <= after:
            break
        if found := _last(slots(timetable, after=upto - back, upto=upto)):
            return found
    return _last(slots(timetable, after=after, upto=upto))


def _last(found: Iterator[datetime]) -> datetime | None:
    last = None
    for last in found:  # noqa: B007  the last one is what is asked for
        pass
    return last


def _check_moment(moment: datetime) -> None:
    if moment.tzinfo is None or not is_within_bounds(moment):
        raise TimetableInvalid(f"{moment.isoformat()} is no moment with an offset {BOUNDS}")

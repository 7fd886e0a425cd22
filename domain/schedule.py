"""Schedules: tasks that are asked for when a slot comes, each slot once.

A schedule is folded from its events, and its verbs answer with the fact that is to be appended. A slot belongs to the
terms that stood when it came: a change loses none that had come by then.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from domain.aggregate import Event
from domain.cause import derived_run_id
from domain.refusal import Refusal
from domain.schedule_events import (
    ScheduleChanged,
    ScheduleDeclared,
    ScheduleDeclaredAgain,
    ScheduleEvent,
    ScheduleFired,
    ScheduleFiredByHand,
    ScheduleIntervalChanged,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSlotSkipped,
    ScheduleSlotsMissed,
)
from domain.schedule_terms import Terms
from domain.timetable import Interval

RUN_PURPOSE: Final = "run_what_is_scheduled"
"""What the run of a slot is called under the fact that the slot was fired: the policy's name."""
_NAME: Final = re.compile(r"[A-Za-z0-9._:][A-Za-z0-9._:-]{0,99}")


class ScheduleUnknown(Refusal):
    """there is no such schedule."""


class ScheduleExists(Refusal):
    """there is a schedule of this name; change it, or remove it first."""


class ScheduleUnchanged(Refusal):
    """the schedule is as asked for already."""


class ScheduleAlreadyPaused(Refusal):
    """the schedule is paused already."""


class ScheduleNotPaused(Refusal):
    """the schedule is not paused."""


class ScheduleState(StrEnum):
    """What a schedule is up to."""

    ABSENT = "absent"
    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


class Era(msgspec.Struct, frozen=True):
    """A stretch of time over which the same terms hold: ``after < slot <= upto``; None: it has no end yet."""

    terms: Terms
    after: datetime
    upto: datetime | None = None


AnyScheduleEvent = TypeVar("AnyScheduleEvent", bound=ScheduleEvent)


class Schedule(msgspec.Struct, frozen=True):
    """A schedule as its events tell it.

    Attributes:
        name: what people call it.
        version: how many things have happened to it.
        state: what it is up to.
        terms: those that hold; None: it has never been declared.
        eras: where its slots lie; those that somebody has seen to are left out at some time.
    """

    name: str
    version: int = 0
    state: ScheduleState = ScheduleState.ABSENT
    terms: Terms | None = None
    eras: tuple[Era, ...] = ()

    @property
    def stream(self) -> str:
        """Its stream."""
        return schedule_stream(self.name)

    def after(self, event: Event) -> Schedule:
        """The schedule once ``event`` has happened to it."""
        changed: dict[str, Any] = {}
        match event:
            case ScheduleDeclared() | ScheduleDeclaredAgain():
                changed = _alive(event.terms, since=event.since or _one_slot_before(event))
            case ScheduleChanged():
                changed = self._under(event.terms, at=event.timestamp)
            case ScheduleIntervalChanged() if self.terms is not None:
                terms = msgspec.structs.replace(self.terms, timetable=Interval(event.every_seconds))
                changed = self._under(terms, at=event.timestamp)
            case SchedulePaused():
                changed = {"state": ScheduleState.PAUSED, "eras": ()}
            case ScheduleResumed() if self.terms is not None:
                changed = _alive(self.terms, since=event.timestamp)
            case ScheduleRemoved():
                changed = {"state": ScheduleState.REMOVED, "eras": ()}
        return msgspec.structs.replace(self, version=event.originator_version, **changed)

    def seen_to(self, slot: datetime) -> Schedule:
        """The schedule without the eras that end at or before ``slot``, up to which somebody has seen to slots."""
        if self.eras and self.eras[0].upto is not None and self.eras[0].upto <= slot:
            left = tuple(era for era in self.eras if era.upto is None or era.upto > slot)
            return msgspec.structs.replace(self, eras=left)
        return self

    def declare(
        self, terms: Terms, *, at: datetime, since: datetime | None = None, reason: str | None = None
    ) -> ScheduleDeclared | ScheduleDeclaredAgain:
        """Let there be a schedule of this name.

        Args:
            terms: by which it lives.
            at: when this is asked for.
            since: slots after it count; None: those to come.
            reason: why.

        Raises:
            ScheduleExists: there is one.
            ValueError: name or terms cannot be; the message says what is allowed.
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} is no name of a schedule; allowed are 1 to 100 letters, digits and any of . _ : -,"
                " the first no -"
            )
        if self.state not in {ScheduleState.ABSENT, ScheduleState.REMOVED}:
            raise ScheduleExists(self.stream)
        terms.check(at=since or at)
        kind: type[Any] = ScheduleDeclared if self.version == 0 else ScheduleDeclaredAgain
        declared: ScheduleDeclared | ScheduleDeclaredAgain = self._next(
            kind, at=at, terms=terms, since=since or at, reason=reason
        )
        return declared

    def change(self, terms: Terms, *, at: datetime, reason: str | None = None) -> ScheduleChanged:
        """Let other terms hold for the slots that come after ``at``.

        Raises:
            ScheduleUnknown: there is no such schedule.
            ScheduleUnchanged: these are its terms.
            ValueError: the terms cannot be; the message says what is allowed.
        """
        previous = self._terms()
        if terms == previous:
            raise ScheduleUnchanged(self.stream)
        terms.check(at=at)
        return self._next(ScheduleChanged, at=at, terms=terms, previous_terms=previous, reason=reason)

    def pause(self, *, at: datetime, reason: str | None = None) -> SchedulePaused:
        """Fire no slot from now on; those that pass meanwhile are not caught up with.

        Raises:
            ScheduleUnknown: there is no such schedule.
            ScheduleAlreadyPaused: it is.
        """
        self._terms()
        if self.state is ScheduleState.PAUSED:
            raise ScheduleAlreadyPaused(self.stream)
        return self._next(SchedulePaused, at=at, reason=reason)

    def resume(self, *, at: datetime, reason: str | None = None) -> ScheduleResumed:
        """Fire the slots again that come from now on.

        Raises:
            ScheduleUnknown: there is no such schedule.
            ScheduleNotPaused: it is not.
        """
        self._terms()
        if self.state is not ScheduleState.PAUSED:
            raise ScheduleNotPaused(self.stream)
        return self._next(ScheduleResumed, at=at, reason=reason)

    def remove(self, *, at: datetime, reason: str | None = None) -> ScheduleRemoved:
        """Let there be no schedule of this name any more.

        Raises:
            ScheduleUnknown: there is none.
        """
        self._terms()
        return self._next(ScheduleRemoved, at=at, reason=reason)

    def fire(self, slot: datetime, *, terms: Terms, at: datetime) -> ScheduleFired:
        """The fact that ``slot`` was fired, under the terms that held when it came."""
        return ScheduleFired(**self._settled(slot, at=at), slot_at=slot, **_asked(terms))

    def fire_by_hand(self, key: UUID, *, at: datetime, reason: str | None = None) -> ScheduleFiredByHand:
        """The fact that somebody wants its task now, paused or not; ``key`` tells such wishes apart.

        Raises:
            ScheduleUnknown: there is no such schedule.
        """
        terms = self._terms()
        told = {**self._settled(at, at=at), "originator_id": f"{SLOT_PREFIX}{self.name}@by_hand-{key}"}
        return ScheduleFiredByHand(**told, slot_at=at, reason=reason, **_asked(terms))

    def skip(self, slot: datetime, *, terms: Terms, open_run_id: str, at: datetime) -> ScheduleSlotSkipped:
        """The fact that ``slot`` was let pass because a run of an earlier one has not ended."""
        return ScheduleSlotSkipped(**self._settled(slot, at=at), slot_at=slot, task=terms.task, open_run_id=open_run_id)

    def miss(self, first: datetime, last: datetime, *, slots: int | None, at: datetime) -> ScheduleSlotsMissed:
        """The fact that nobody will fire the slots from ``first`` to ``last``."""
        told = {**self._settled(first, at=at), "originator_id": f"schedule_gap-{self.name}@{first.isoformat()}"}
        return ScheduleSlotsMissed(
            **told, first_slot_at=first, last_slot_at=last, slots=slots, catch_up=self._terms().catch_up
        )

    def _terms(self) -> Terms:
        if self.terms is None or self.state is ScheduleState.REMOVED:
            raise ScheduleUnknown(self.stream)
        return self.terms

    def _under(self, terms: Terms, *, at: datetime) -> dict[str, Any]:
        if not self.eras:
            return {"terms": terms}
        *earlier, current = self.eras
        at = max(at, current.after)  # whoever changed it last may have a clock that is ahead
        return {"terms": terms, "eras": (*earlier, msgspec.structs.replace(current, upto=at), Era(terms, at))}

    def _next(self, event_class: type[AnyScheduleEvent], *, at: datetime, **data: Any) -> AnyScheduleEvent:
        return event_class(
            originator_id=self.stream, originator_version=self.version + 1, timestamp=at, schedule=self.name, **data
        )

    def _settled(self, slot: datetime, *, at: datetime) -> dict[str, Any]:
        stream = f"{SLOT_PREFIX}{self.name}@{slot.isoformat()}"
        return {"originator_id": stream, "originator_version": 1, "timestamp": at, "schedule": self.name}


SLOT_PREFIX: Final = "schedule_slot-"


def schedule_stream(name: str) -> str:
    """Stream of the schedule called ``name``."""
    return f"schedule-{name}"


def scheduled_run_id(event_id: UUID, fired_at: datetime) -> UUID:
    """The run of a slot, by the id of the fact that the slot was fired, which follows from schedule and slot."""
    return derived_run_id(event_id, RUN_PURPOSE, fired_at)


def _alive(terms: Terms, *, since: datetime) -> dict[str, Any]:
    return {"state": ScheduleState.ACTIVE, "terms": terms, "eras": (Era(terms, since),)}


def _one_slot_before(event: ScheduleDeclared | ScheduleDeclaredAgain) -> datetime:
    """Before there was ``since`` the slot counted that was current at the declaration."""
    timetable = event.terms.timetable
    return event.timestamp - (timetable.every if isinstance(timetable, Interval) else timedelta(0))


def _asked(terms: Terms) -> dict[str, Any]:
    return {"task": terms.task, "kwargs": terms.kwargs, "tier": terms.tier}

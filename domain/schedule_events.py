"""What happens to a schedule, and to its slots: each slot is a stream of its own with room for one event."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from domain.aggregate import Event
from domain.schedule_terms import CatchUp, Terms


class ScheduleEvent(Event, frozen=True, kw_only=True):
    """Anything that people, or a deployment's settings, do about a schedule."""

    schedule: str


class ScheduleDeclared(ScheduleEvent, frozen=True, kw_only=True):
    """A schedule came into being; its slots count that come after `since`."""

    TOPIC: ClassVar[str] = "schedule.declared"
    class_version: ClassVar[int] = 2
    terms: Terms
    since: datetime | None
    reason: str | None

    @staticmethod
    def upcast_v1_v2(data: dict[str, Any]) -> None:
        """Version 1 knew intervals alone; the slot current at the declaration counted, and of missed ones the last."""
        timetable = {"kind": "interval", "every_seconds": data.pop("every_seconds")}
        told = {name: data.pop(name) for name in ("task", "kwargs", "tier")}
        data["terms"] = {**told, "timetable": timetable, "catch_up": "last", "overlap": "allow"}
        data["since"] = data["reason"] = None


class ScheduleDeclaredAgain(ScheduleEvent, frozen=True, kw_only=True):
    """A schedule that had been removed came into being once more."""

    TOPIC: ClassVar[str] = "schedule.declared_again"
    terms: Terms
    since: datetime
    reason: str | None


class ScheduleIntervalChanged(Event, frozen=True, kw_only=True):
    """The schedule asks more or less often; recorded before there was `schedule.changed`."""

    TOPIC: ClassVar[str] = "schedule.interval_changed"
    every_seconds: float
    previous_every_seconds: float


class ScheduleChanged(ScheduleEvent, frozen=True, kw_only=True):
    """Other terms hold for the slots that come from now on."""

    TOPIC: ClassVar[str] = "schedule.changed"
    terms: Terms
    previous_terms: Terms
    reason: str | None


class SchedulePaused(ScheduleEvent, frozen=True, kw_only=True):
    """No slot is fired from here on."""

    TOPIC: ClassVar[str] = "schedule.paused"
    reason: str | None


class ScheduleResumed(ScheduleEvent, frozen=True, kw_only=True):
    """Slots that come from here on are fired again."""

    TOPIC: ClassVar[str] = "schedule.resumed"
    reason: str | None


class ScheduleRemoved(ScheduleEvent, frozen=True, kw_only=True):
    """The schedule is no more; what it has asked for stays."""

    TOPIC: ClassVar[str] = "schedule.removed"
    reason: str | None


class ScheduleFired(Event, frozen=True, kw_only=True):
    """A slot came and its task was asked for."""

    TOPIC: ClassVar[str] = "schedule.fired"
    schedule: str
    slot_at: datetime
    task: str
    kwargs: dict[str, Any]
    tier: str


class ScheduleFiredByHand(Event, frozen=True, kw_only=True):
    """Somebody asked for the task out of turn; `slot_at` is when."""

    TOPIC: ClassVar[str] = "schedule.fired_by_hand"
    schedule: str
    slot_at: datetime
    task: str
    kwargs: dict[str, Any]
    tier: str
    reason: str | None


class ScheduleSlotSkipped(Event, frozen=True, kw_only=True):
    """A slot came while the run of an earlier one had not ended, and was let pass."""

    TOPIC: ClassVar[str] = "schedule.slot_skipped"
    schedule: str
    slot_at: datetime
    task: str
    open_run_id: str


class ScheduleSlotsMissed(Event, frozen=True, kw_only=True):
    """Slots passed and nobody fired them in time; by the schedule's terms nobody will.

    Attributes:
        slots: how many; None: more than anybody counts.
        catch_up: the rule.
    """

    TOPIC: ClassVar[str] = "schedule.slots_missed"
    schedule: str
    first_slot_at: datetime
    last_slot_at: datetime
    slots: int | None
    catch_up: CatchUp


TOLD_NAMES: Final = (
    ScheduleDeclared.TOPIC,
    ScheduleDeclaredAgain.TOPIC,
    ScheduleIntervalChanged.TOPIC,
    ScheduleChanged.TOPIC,
    SchedulePaused.TOPIC,
    ScheduleResumed.TOPIC,
    ScheduleRemoved.TOPIC,
)
"""Stored names of what makes a schedule what it is."""

FIRED_NAMES: Final = (ScheduleFired.TOPIC, ScheduleFiredByHand.TOPIC)
SETTLED_NAMES: Final = (ScheduleFired.TOPIC, ScheduleSlotSkipped.TOPIC, ScheduleSlotsMissed.TOPIC)
"""Stored names of what becomes of slots."""

"""Schedules: what is asked for again and again, or later, and by which terms?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.schedule import ScheduleState, schedule_stream
from domain.schedule_events import (
    TOLD_NAMES,
    ScheduleChanged,
    ScheduleDeclared,
    ScheduleDeclaredAgain,
    ScheduleIntervalChanged,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
)
from domain.schedule_terms import Terms
from domain.timetable import Cron, Interval, Once, Timetable
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class ScheduleRow(msgspec.Struct):
    """A row of ``read_model.schedules``."""

    schedule: str
    state: str | None = None
    task: str | None = None
    tier: str | None = None
    kind: str | None = None
    cron: str | None = None
    zone: str | None = None
    every_seconds: float | None = None
    once_at: datetime | None = None
    catch_up: str | None = None
    catch_up_seconds: float | None = None
    overlap: str | None = None
    declared_at: datetime | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None
    reason: str | None = None


class Schedules(Fold[ScheduleRow]):
    """One row per schedule, as it was left by what was done about it last."""

    name = "schedules"
    question = "What is asked for again and again, or later, and by which terms?"
    follows: ClassVar = {Log.LICENSING: TOLD_NAMES}
    begun_by: ClassVar = (ScheduleDeclared.TOPIC,)
    table: ClassVar[sa.Table] = tables.SCHEDULES
    shape = ScheduleRow

    def key(self, event: Event) -> Key:
        """The schedule."""
        return (event.originator_id.removeprefix(schedule_stream("")),)

    def fold(self, row: ScheduleRow, recorded: Recorded) -> None:
        """Take over what was done."""
        event = recorded.event
        match event:
            case ScheduleDeclared() | ScheduleDeclaredAgain():
                row.state, row.declared_at = ScheduleState.ACTIVE.value, event.timestamp
                _assign(row, event.terms)
            case ScheduleChanged():
                _assign(row, event.terms)
            case ScheduleIntervalChanged():
                _assign_timetable(row, Interval(event.every_seconds))
            case SchedulePaused():
                row.state = ScheduleState.PAUSED.value
            case ScheduleResumed():
                row.state = ScheduleState.ACTIVE.value
            case ScheduleRemoved():
                row.state = ScheduleState.REMOVED.value
        row.changed_at, row.changed_by = event.timestamp, recorded.metadata.get("actor")
        row.reason = getattr(event, "reason", None)


def _assign(row: ScheduleRow, terms: Terms) -> None:
    row.task, row.tier, row.overlap = terms.task, terms.tier, terms.overlap.value
    row.catch_up, row.catch_up_seconds = terms.catch_up.value, terms.catch_up_seconds
    _assign_timetable(row, terms.timetable)


def _assign_timetable(row: ScheduleRow, timetable: Timetable) -> None:
    row.kind = str(timetable.__struct_config__.tag)
    row.cron = timetable.expression if isinstance(timetable, Cron) else None
    row.zone = timetable.zone if isinstance(timetable, Cron) else None
    row.every_seconds = timetable.every_seconds if isinstance(timetable, Interval) else None
    row.once_at = timetable.at if isinstance(timetable, Once) else None

"""Firings: what became of each slot of each schedule, how late, and which run was asked for?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.schedule import scheduled_run_id
from domain.schedule_events import (
    FIRED_NAMES,
    SETTLED_NAMES,
    ScheduleFired,
    ScheduleFiredByHand,
    ScheduleSlotSkipped,
    ScheduleSlotsMissed,
)
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class FiringRow(msgspec.Struct):
    """A row of ``read_model.schedule_firings``."""

    firing_id: str
    schedule: str | None = None
    outcome: str | None = None
    slot_at: datetime | None = None
    last_slot_at: datetime | None = None
    slots: int | None = None
    fired_at: datetime | None = None
    lateness_seconds: float | None = None
    task: str | None = None
    run_id: str | None = None
    open_run_id: str | None = None
    actor: str | None = None
    reason: str | None = None
    recorded_at: datetime | None = None


class ScheduleFirings(Fold[FiringRow]):
    """One row per slot that was fired or skipped, per firing by hand, and per stretch of missed slots."""

    name = "schedule_firings"
    question = "What became of each slot, how late, and which run was asked for?"
    follows: ClassVar = {Log.LICENSING: tuple(sorted({*FIRED_NAMES, *SETTLED_NAMES}))}
    begun_by: ClassVar = (*FIRED_NAMES, *SETTLED_NAMES)
    table: ClassVar[sa.Table] = tables.SCHEDULE_FIRINGS
    shape = FiringRow

    def key(self, event: Event) -> Key:
        """The slot's stream: in it nothing else happens."""
        return (event.originator_id,)

    def fold(self, row: FiringRow, recorded: Recorded) -> None:
        """Take over what the event says."""
        event = recorded.event
        row.actor, row.recorded_at, row.slots = recorded.metadata.get("actor"), recorded.recorded_at, 1
        match event:
            case ScheduleFired() | ScheduleFiredByHand():
                row.schedule, row.task, row.slot_at = event.schedule, event.task, event.slot_at
                row.fired_at = event.timestamp
                row.run_id = str(scheduled_run_id(recorded.event_id, event.timestamp))
                row.outcome, row.reason = "fired_by_hand", getattr(event, "reason", None)
                if isinstance(event, ScheduleFired):
                    row.outcome = "fired"
                    row.lateness_seconds = (event.timestamp - event.slot_at).total_seconds()
            case ScheduleSlotSkipped():
                row.schedule, row.task, row.slot_at = event.schedule, event.task, event.slot_at
                row.outcome, row.open_run_id = "skipped", event.open_run_id
            case ScheduleSlotsMissed():
                row.schedule, row.slot_at, row.last_slot_at = event.schedule, event.first_slot_at, event.last_slot_at
                row.outcome, row.slots, row.reason = "missed", event.slots, f"catch-up {event.catch_up.value}"
        row.last_slot_at = row.last_slot_at or row.slot_at

"""Task runs: where is each accepted task, and how did it end?

Events of a run may arrive in any order. Every column is therefore decided by a rule that does not depend on it: the
event with the highest or the lowest slot, the earliest or latest time, or a value that all events agree on.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.run import END_NAMES, STATE_AFTER
from domain.task_run import (
    SLOT_END,
    SLOT_PUBLISHED,
    SLOT_REQUESTED,
    AttemptEvent,
    TaskDeadLettered,
    TaskEvent,
    TaskOutcomeIgnored,
    TaskPublished,
    TaskRequested,
    TaskRevocationRequested,
    TaskStarted,
    order_of,
)
from domain.tier import TIER_OF_QUEUE, Tier
from infra.event_store import Log, Recorded
from infra.tracing import Context
from projections import tables
from projections.order import agreed, earliest, latest
from projections.projection import Fold
from projections.rows import Key

_STATE_AFTER: Final = {name: state.value for name, state in STATE_AFTER.items()}
_SLOT_NOTHING_TOLD: Final = -1


class RunRow(msgspec.Struct):
    """A row of ``read_model.task_runs``."""

    run_id: str
    task: str | None = None
    tier: str | None = None
    queue: str | None = None
    priority: int | None = None
    state: str | None = None
    accepted_at: datetime | None = None
    accepted_by: str | None = None
    published_at: datetime | None = None
    first_started_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    runtime_seconds: float | None = None
    error_type: str | None = None
    error: str | None = None
    result: str | None = None
    license_id: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    worker: str | None = None
    revocation_requested_at: datetime | None = None
    revocation_requested_by: str | None = None
    revocation_reason: str | None = None
    recorded_at: datetime | None = None
    accepted_slot: int | None = None
    state_slot: int | None = None
    worker_slot: int | None = None


class TaskRuns(Fold[RunRow]):
    """One row per run."""

    name = "task_runs"
    question = "Where is each accepted task, and how did it end?"
    follows: ClassVar = {Log.TASKS: (*STATE_AFTER, TaskOutcomeIgnored.TOPIC, TaskRevocationRequested.TOPIC)}
    begun_by: ClassVar = (TaskRequested.TOPIC,)
    table: ClassVar[sa.Table] = tables.TASK_RUNS
    shape = RunRow

    def key(self, event: Event) -> Key:
        """The run."""
        return (run_id(event),)

    def fold(self, row: RunRow, recorded: Recorded) -> None:
        """Let each group of columns be decided by the events that may."""
        event = recorded.event
        if not isinstance(event, TaskEvent):
            raise TypeError(f"{event.TOPIC} is no event of a task run")
        row.task = agreed(row.task, event.task)
        row.recorded_at = earliest(row.recorded_at, recorded.recorded_at)
        _fold_acceptance(row, recorded)
        _fold_state(row, event)
        _fold_place(row, event)
        _fold_attempt(row, event)
        if isinstance(event, TaskRevocationRequested):
            row.revocation_requested_at, row.revocation_reason = event.timestamp, event.reason
            row.revocation_requested_by = recorded.metadata.get("actor")


def run_id(event: Event) -> str:
    """The run whose stream ``event`` is in."""
    return event.originator_id.removeprefix("task_run-")


def trace_id(traceparent: object) -> str | None:
    """The trace that a W3C ``traceparent`` names: 32 hexadecimal digits; None where there is none."""
    found = Context.read(traceparent)
    return found.trace_id if found else None


def _fold_acceptance(row: RunRow, recorded: Recorded) -> None:
    """A run is accepted by its request or, where nobody asked us (a stock Celery call), by the first thing seen."""
    event = recorded.event
    slot = order_of(event.originator_version)
    known = (row.accepted_slot, row.accepted_at)
    if None not in known and (slot, event.timestamp) >= known:
        return
    row.accepted_slot = slot
    row.accepted_at = event.timestamp
    row.accepted_by = "requested" if slot == SLOT_REQUESTED else "observed"
    row.correlation_id = recorded.metadata.get("correlation_id")
    row.trace_id = trace_id(recorded.metadata.get("traceparent"))


def _fold_state(row: RunRow, event: TaskEvent) -> None:
    """The state is that of the highest slot up to the end; what comes after it counts only where nothing else does."""
    slot = order_of(event.originator_version)
    if slot > SLOT_END:
        slot = 0
    elif event.TOPIC not in _STATE_AFTER:
        slot = _SLOT_NOTHING_TOLD
    if row.state_slot is not None and slot <= row.state_slot:
        return
    row.state_slot = slot
    row.state = _STATE_AFTER.get(event.TOPIC, _STATE_AFTER[TaskRequested.TOPIC])
    row.ended_at = event.timestamp if event.TOPIC in END_NAMES else None
    row.runtime_seconds = getattr(event, "runtime_seconds", None)
    row.error_type = getattr(event, "error_type", None)
    row.error = getattr(event, "error", None)
    row.result = getattr(event, "result", None)


def _fold_place(row: RunRow, event: TaskEvent) -> None:
    """Tier, queue and priority, which follow from the request and are confirmed by whoever saw the message."""
    match event:
        case TaskRequested():
            tier = Tier(event.tier)
            row.tier = agreed(row.tier, tier.value)
            row.priority = agreed(row.priority, tier.clamp(event.priority))
        case TaskPublished() | TaskStarted() | TaskDeadLettered():
            row.priority = agreed(row.priority, event.priority)
    queue: str | None = getattr(event, "queue", None)
    row.queue = agreed(row.queue, queue)
    row.tier = agreed(row.tier, None if (known := TIER_OF_QUEUE.get(queue or "")) is None else known.value)
    row.license_id = agreed(row.license_id, getattr(event, "license_id", None))
    if event.originator_version == SLOT_PUBLISHED:
        row.published_at = event.timestamp


def _fold_attempt(row: RunRow, event: TaskEvent) -> None:
    if not isinstance(event, AttemptEvent):
        return
    row.attempts = max(row.attempts, event.attempt)
    if isinstance(event, TaskStarted):
        row.first_started_at = earliest(row.first_started_at, event.timestamp)
        row.started_at = latest(row.started_at, event.timestamp)
    slot = order_of(event.originator_version)
    if event.worker is None or (row.worker_slot is not None and slot < row.worker_slot):
        return
    row.worker = agreed(row.worker, event.worker) if slot == row.worker_slot else event.worker
    row.worker_slot = slot

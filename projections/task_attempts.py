"""Task attempts: what became of each try of each run?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.run import END_NAMES
from domain.task_run import (
    AttemptEvent,
    HoldReason,
    TaskDeadLettered,
    TaskEnd,
    TaskFailure,
    TaskOutcomeIgnored,
    TaskReceived,
    TaskRetryScheduled,
    TaskStarted,
)
from domain.wait import TaskWaitBegan, TaskWaitSatisfied, TaskWaitTimedOut, WaitEnd
from infra.event_store import Log, Recorded
from projections import tables
from projections.order import agreed, earliest
from projections.projection import Fold
from projections.rows import Key
from projections.task_runs import run_id, trace_id


class Rank:
    """Which event decides about an attempt's outcome: the one of the highest rank."""

    WAITED: Final = -1
    """All that is known is that its wait has ended."""
    HELD: Final = 0
    RUNNING: Final = 1
    IGNORED: Final = 2
    RETRY: Final = 3
    END: Final = 4


_HELD_AT: Final[dict[str | None, str]] = {
    None: "eta_held_at",
    HoldReason.PAUSED: "paused_at",
    HoldReason.RATE_LIMITED: "limited_at",
    HoldReason.CONCURRENCY_LIMITED: "limited_at",
    HoldReason.LIMITER_AWAY: "limited_at",
    HoldReason.LICENSE_SUSPENDED: "deferred_at",
    HoldReason.LICENSE_TERM_OVER: "deferred_at",
    HoldReason.LICENSE_AWAY: "deferred_at",
}
"""The column that says since when an attempt has been held, by the reason."""


class AttemptRow(msgspec.Struct):
    """A row of ``read_model.task_attempts``."""

    run_id: str
    attempt: int
    task: str | None = None
    queue: str | None = None
    outcome: str | None = None
    received_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    spent_by: str | None = None
    error_type: str | None = None
    error: str | None = None
    delay_seconds: float | None = None
    runtime_seconds: float | None = None
    ignored_outcome: str | None = None
    worker: str | None = None
    pid: int | None = None
    code_version: str | None = None
    outcome_rank: int | None = None
    is_spared: bool = False
    trace_id: str | None = None
    admitted_by: str | None = None
    deferred_by: str | None = None
    turned_away_by: str | None = None
    delivered_at: datetime | None = None
    eta_held_at: datetime | None = None
    paused_at: datetime | None = None
    limited_at: datetime | None = None
    deferred_at: datetime | None = None
    wait_began_at: datetime | None = None
    wait_event: str | None = None
    wait_match: str | None = None
    wait_until: datetime | None = None
    wait_ended_at: datetime | None = None
    wait_end: str | None = None
    wait_event_id: str | None = None


class TaskAttempts(Fold[AttemptRow]):
    """One row per attempt of a run."""

    name = "task_attempts"
    question = "What became of each try of each run?"
    follows: ClassVar = {
        Log.TASKS: (
            TaskReceived.TOPIC,
            TaskStarted.TOPIC,
            TaskRetryScheduled.TOPIC,
            TaskOutcomeIgnored.TOPIC,
            TaskWaitBegan.TOPIC,
            TaskWaitSatisfied.TOPIC,
            TaskWaitTimedOut.TOPIC,
            *sorted(END_NAMES - {TaskDeadLettered.TOPIC}),
        )
    }
    begun_by: ClassVar = (TaskStarted.TOPIC,)
    table: ClassVar[sa.Table] = tables.TASK_ATTEMPTS
    shape = AttemptRow

    def key(self, event: Event) -> Key:
        """The run and the attempt."""
        return (run_id(event), _attempt_event(event).attempt)

    def fold(self, row: AttemptRow, recorded: Recorded) -> None:
        """Note when it was received and started, and let the outcome be decided by rank."""
        event = _attempt_event(recorded.event)
        row.task = agreed(row.task, event.task)
        row.queue = agreed(row.queue, event.queue)
        row.worker = agreed(row.worker, event.worker)
        row.trace_id = agreed(row.trace_id, trace_id(recorded.metadata.get("traceparent")))
        match event:
            case TaskReceived():
                row.received_at = earliest(row.received_at, event.timestamp)
                row.deferred_by = agreed(row.deferred_by, event.decided_by)
                _fold_hold(row, event)
            case TaskStarted():
                row.received_at = earliest(row.received_at, event.received_at)
                row.started_at, row.pid, row.code_version = event.timestamp, event.pid, event.code_version
                row.delivered_at = event.received_at
                row.admitted_by = agreed(row.admitted_by, event.admitted_by)
            case TaskOutcomeIgnored():
                row.ignored_outcome = event.outcome
            case TaskWaitBegan() | WaitEnd():
                _fold_wait(row, event)
            case TaskRetryScheduled() | TaskFailure() if row.started_at is None:
                row.code_version = event.code_version
        if isinstance(event, TaskFailure):
            row.turned_away_by = agreed(row.turned_away_by, event.decided_by)
        _fold_outcome(row, event)


def _attempt_event(event: Event) -> AttemptEvent:
    if not isinstance(event, AttemptEvent):
        raise TypeError(f"{event.TOPIC} is no event of an attempt")
    return event


def _fold_hold(row: AttemptRow, event: TaskReceived) -> None:
    """Since when it has been held for a reason of this kind."""
    if (held_at := _HELD_AT.get(event.because)) is not None:
        setattr(row, held_at, earliest(getattr(row, held_at), event.timestamp))


def _fold_wait(row: AttemptRow, event: TaskWaitBegan | WaitEnd) -> None:
    """What it waits for, and what came of that."""
    if isinstance(event, TaskWaitBegan):
        terms = event.terms
        row.wait_began_at, row.wait_event, row.wait_until = event.timestamp, terms.event, terms.until
        row.wait_match = msgspec.json.encode(terms.match, order="sorted").decode() if terms.match else None
        return
    row.wait_ended_at, row.wait_end = event.timestamp, event.TOPIC.removeprefix("task.wait_")
    if isinstance(event, TaskWaitSatisfied) and event.came is not None:
        row.wait_event_id = event.came.id


def _fold_outcome(row: AttemptRow, event: AttemptEvent) -> None:
    rank, outcome = _ranked(event)
    if row.outcome_rank is not None and rank <= row.outcome_rank:
        return
    row.outcome_rank, row.outcome = rank, outcome
    row.ended_at = event.timestamp if rank >= Rank.IGNORED else None
    row.spent_by = getattr(event, "spent_by", None)
    row.is_spared = getattr(event, "is_spared", False)
    row.error_type = getattr(event, "error_type", None)
    row.error = getattr(event, "error", None)
    row.delay_seconds = getattr(event, "delay_seconds", None)
    row.runtime_seconds = getattr(event, "runtime_seconds", None)


def _ranked(event: AttemptEvent) -> tuple[int, str]:
    match event:
        case TaskEnd():
            return Rank.END, event.TOPIC.removeprefix("task.")
        case TaskRetryScheduled():
            return Rank.RETRY, "retry_scheduled"
        case TaskWaitBegan() | WaitEnd():
            return (Rank.RETRY if isinstance(event, TaskWaitBegan) else Rank.WAITED), "wait_began"
        case TaskOutcomeIgnored():
            return Rank.IGNORED, "ignored"
        case TaskStarted():
            return Rank.RUNNING, "running"
        case _:
            return Rank.HELD, "held"

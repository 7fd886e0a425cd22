"""Dead letters: which runs' messages became dead letters, why, and what has been decided about them?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.dead_letter import LetterDecision, LetterDiscarded, LetterReplayed, LetterState
from domain.task_run import (
    SLOT_END,
    STATE_AFTER,
    TaskDeadLettered,
    TaskEvent,
    TaskExpired,
    TaskFailed,
    TaskFailure,
    TaskLost,
    TaskRejected,
    TaskRevoked,
    TaskTimedOut,
)
from infra.event_store import Log, Recorded
from projections import tables
from projections.order import agreed
from projections.projection import Fold
from projections.rows import Key
from projections.task_runs import run_id


class DeadLetterRow(msgspec.Struct):
    """A row of ``read_model.dead_letters``."""

    run_id: str
    task: str | None = None
    reason: str | None = None
    queue: str | None = None
    priority: int | None = None
    dead_lettered_at: datetime | None = None
    end_state: str | None = None
    error_type: str | None = None
    error: str | None = None
    letter_slot: int | None = None
    ended_at: datetime | None = None
    decision: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    decision_reason: str | None = None
    decision_number: int | None = None
    replay_id: str | None = None
    new_run_id: str | None = None


class DeadLetters(Fold[DeadLetterRow]):
    """One row per run that was dead-lettered or failed: which of the two is told first does not matter."""

    name = "dead_letters"
    question = "Which runs' messages became dead letters, why, and what has been decided about them?"
    follows: ClassVar = {
        Log.TASKS: tuple(
            event.TOPIC
            for event in (
                TaskDeadLettered,
                TaskFailed,
                TaskTimedOut,
                TaskLost,
                TaskRejected,
                TaskRevoked,
                TaskExpired,
                LetterReplayed,
                LetterDiscarded,
            )
        )
    }
    table: ClassVar[sa.Table] = tables.DEAD_LETTERS
    shape = DeadLetterRow

    def key(self, event: Event) -> Key:
        """The run."""
        return (run_id(event),)

    def fold(self, row: DeadLetterRow, recorded: Recorded) -> None:
        """Note where the message lies, and why the run ended."""
        event = recorded.event
        if not isinstance(event, TaskEvent):
            raise TypeError(f"{event.TOPIC} is no event of a task run")
        slot = event.originator_version
        row.task = agreed(row.task, event.task)
        if isinstance(event, TaskDeadLettered) and (row.letter_slot is None or slot > row.letter_slot):
            row.letter_slot, row.dead_lettered_at = slot, event.timestamp
            row.reason, row.queue, row.priority = event.reason, event.queue, event.priority
        if slot == SLOT_END:
            row.end_state, row.ended_at = STATE_AFTER[event.TOPIC].value, event.timestamp
        if isinstance(event, TaskFailure):
            row.error_type, row.error = event.error_type, event.error
        if isinstance(event, LetterDecision):
            _fold_decision(row, event, by=recorded.metadata.get("actor"))


def _fold_decision(row: DeadLetterRow, event: LetterDecision, *, by: str | None) -> None:
    """The decision with the highest number holds."""
    if row.decision_number is not None and event.number <= row.decision_number:
        return
    row.decision_number, row.decided_at, row.decided_by = event.number, event.timestamp, by
    row.decision_reason = event.reason
    replayed = event if isinstance(event, LetterReplayed) else None
    row.decision = (LetterState.REPLAYED if replayed else LetterState.DISCARDED).value
    row.replay_id = replayed.replay_id if replayed else None
    row.new_run_id = replayed.new_run_id if replayed else None

"""Replayed runs: which dead letter was replayed as which run?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.dead_letter import LetterReplayed
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.replays import json_text
from projections.rows import Key
from projections.task_runs import run_id


class ReplayedRunRow(msgspec.Struct):
    """A row of ``read_model.replayed_runs``."""

    replay_id: str
    run_id: str
    new_run_id: str | None = None
    task: str | None = None
    replayed_at: datetime | None = None
    replayed_by: str | None = None
    generation: int | None = None
    priority: int | None = None
    patch: str | None = None


class ReplayedRuns(Fold[ReplayedRunRow]):
    """One row per dead letter and batch that replayed it; a batch does so once."""

    name = "replayed_runs"
    question = "Which dead letter was replayed as which run?"
    follows: ClassVar = {Log.TASKS: (LetterReplayed.TOPIC,)}
    begun_by: ClassVar = (LetterReplayed.TOPIC,)
    table: ClassVar[sa.Table] = tables.REPLAYED_RUNS
    shape = ReplayedRunRow

    def key(self, event: Event) -> Key:
        """The batch and the run that died."""
        return (_replayed(event).replay_id, run_id(event))

    def fold(self, row: ReplayedRunRow, recorded: Recorded) -> None:
        """Note the new run."""
        event = _replayed(recorded.event)
        row.new_run_id, row.task, row.generation, row.priority = (
            event.new_run_id,
            event.task,
            event.generation,
            event.priority,
        )
        row.replayed_at, row.replayed_by = event.timestamp, recorded.metadata.get("actor")
        row.patch = json_text(event.patch) if event.patch else None


def _replayed(event: Event) -> LetterReplayed:
    if not isinstance(event, LetterReplayed):
        raise TypeError(f"{event.TOPIC} replays no dead letter")
    return event

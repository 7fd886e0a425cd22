"""Workflows: which stories have more than one run, or a plan, and when did they begin?

Every story has a row, for nobody can tell by its first run whether others will come. Those that are workflows have an
index of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Final

import msgspec
import sqlalchemy as sa

from domain.chain import TaskChainRecorded, WorkflowForked
from domain.fan_in import FanInDeclared
from domain.run import END_NAMES
from domain.task_group import GroupSaved
from domain.task_run import TaskEvent, TaskRequested, TaskStarted, TaskSucceeded
from infra.event_store import Log, Recorded
from projections import tables
from projections.gathering import Gathering
from projections.order import agreed, earliest
from projections.rows import Key
from projections.task_runs import run_id

_BAD_ENDS: Final = END_NAMES - {TaskSucceeded.TOPIC}


class WorkflowRow(msgspec.Struct):
    """A row of ``read_model.workflows``."""

    workflow_id: str
    began_at: datetime | None = None
    first_task: str | None = None
    first_at: datetime | None = None
    first_by: str | None = None
    lowest_run: str | None = None
    highest_run: str | None = None
    has_chain: bool = False
    has_fan_in: bool = False
    has_group: bool = False
    has_bad_end: bool = False
    forked_from: str | None = None
    forked_step: int | None = None


class Workflows(Gathering[WorkflowRow, Recorded]):
    """One row per story that a run belongs to."""

    name = "workflows"
    question = "Which stories have more than one run, or a plan?"
    follows: ClassVar = {
        Log.TASKS: (
            TaskRequested.TOPIC,
            TaskStarted.TOPIC,
            *sorted(_BAD_ENDS),
            TaskChainRecorded.TOPIC,
            FanInDeclared.TOPIC,
            GroupSaved.TOPIC,
            WorkflowForked.TOPIC,
        )
    }
    table: ClassVar[sa.Table] = tables.WORKFLOWS
    shape = WorkflowRow

    def parts(self, recorded: Recorded) -> Iterator[tuple[Key, Recorded]]:
        """The event belongs to its story, which its envelope names."""
        if story := recorded.metadata.get("correlation_id"):
            yield (story,), recorded

    def fold(self, row: WorkflowRow, recorded: Recorded) -> None:
        """Note what the event tells: of a run, of a plan, or of where the story comes from."""
        event = recorded.event
        row.began_at = earliest(row.began_at, event.timestamp)
        match event:
            case TaskEvent():
                _fold_run(row, event)
                if isinstance(event, TaskChainRecorded):
                    row.has_chain |= bool(event.links)
                    row.has_fan_in |= any(link.get("subtask_type") == "chord" for link in event.links)
                row.has_bad_end |= event.TOPIC in _BAD_ENDS
            case FanInDeclared():
                row.has_fan_in = True
            case GroupSaved():
                row.has_group = True
            case WorkflowForked():
                row.forked_from = agreed(row.forked_from, event.forked_from)
                row.forked_step = agreed(row.forked_step, event.step)


def _fold_run(row: WorkflowRow, event: TaskEvent) -> None:
    run = run_id(event)
    row.lowest_run = run if row.lowest_run is None else min(row.lowest_run, run)
    row.highest_run = agreed(row.highest_run, run)
    known = (row.first_at, row.first_by)
    if None in known or (event.timestamp, run) < known:
        row.first_at, row.first_by, row.first_task = event.timestamp, run, event.task

"""Workflow steps: which runs were planned, and where in a chain, a chord or a group has each its place?

A run may be given places by several events: a chord within a chain by the chain's first run and by its fan-in. Of each
kind of place one counts, by a rule that does not depend on which event came first. A fork's fan-in names members that
ran in another story: the plan that was told earliest says which story and which group is a run's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.chain import TaskChainRecorded
from domain.fan_in import FanInDeclared
from domain.task_group import GroupSaved
from domain.workflow_plan import Place, places_of
from infra.event_store import Log, Recorded
from projections import tables
from projections.gathering import Gathering
from projections.order import agreed
from projections.rows import Key


class StepRow(msgspec.Struct):
    """A row of ``read_model.workflow_steps``."""

    run_id: str
    workflow_id: str | None = None
    planned_at: datetime | None = None
    task: str | None = None
    chain_id: str | None = None
    chain_step: int | None = None
    grouped_at: datetime | None = None
    group_id: str | None = None
    member: int | None = None
    link: int | None = None
    branch: int | None = None
    body_of: str | None = None
    body_link: int | None = None
    wanted: int | None = None


class Told(msgspec.Struct, frozen=True):
    """A place, the story of the event that gives it, and when that was told."""

    place: Place
    workflow_id: str | None
    at: datetime


class WorkflowSteps(Gathering[StepRow, Told]):
    """One row per run that a chain, a fan-in or a saved group planned."""

    name = "workflow_steps"
    question = "Which runs were planned, and where in a workflow?"
    follows: ClassVar = {Log.TASKS: (TaskChainRecorded.TOPIC, FanInDeclared.TOPIC, GroupSaved.TOPIC)}
    table: ClassVar[sa.Table] = tables.WORKFLOW_STEPS
    shape = StepRow

    def parts(self, recorded: Recorded) -> Iterator[tuple[Key, Told]]:
        """Each place belongs to its run."""
        story = recorded.metadata.get("correlation_id")
        for place in places_of(recorded.event):
            yield (place.run_id,), Told(place, story, recorded.event.timestamp)

    def fold(self, row: StepRow, told: Told) -> None:
        """Of chains the one in which it comes latest counts: others begin within that one. Else the earliest plan."""
        place = told.place
        if told.workflow_id is not None:
            in_story = (told.at, told.workflow_id)
            known_story = (row.planned_at, row.workflow_id)
            row.planned_at, row.workflow_id = in_story if None in known_story else min(in_story, known_story)
        row.task = agreed(row.task, place.task)
        row.wanted = agreed(row.wanted, place.wanted)
        if place.chain_id is not None and place.chain_step is not None:
            in_chain = (place.chain_step, place.chain_id)
            known = (row.chain_step, row.chain_id)
            row.chain_step, row.chain_id = in_chain if None in known else max(in_chain, known)
        if place.group_id is not None:
            in_group = (told.at, place.group_id, place.member, place.link, place.branch)
            known_group = (row.grouped_at, row.group_id, row.member, row.link, row.branch)
            earliest = in_group if None in known_group else min(in_group, known_group)
            row.grouped_at, row.group_id, row.member, row.link, row.branch = earliest
        if place.body_of is not None:
            in_body = (place.body_of, place.body_link)
            known_body = (row.body_of, row.body_link)
            row.body_of, row.body_link = in_body if None in known_body else min(in_body, known_body)

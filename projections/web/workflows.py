"""One workflow over HTTP, as the read models have it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from infra.event_store import Log
from infra.web.operation import Call, Operation
from infra.web.problem import Problem
from infra.web.role import Role
from projections.dead_letters import DeadLetters
from projections.replayed_runs import ReplayedRuns
from projections.task_attempts import TaskAttempts
from projections.task_runs import TaskRuns
from projections.web.position import Position, await_position
from projections.workflow_list import asking, story_of, workflow
from projections.workflow_reading import values_of
from projections.workflow_steps import WorkflowSteps
from projections.workflows import Workflows

READ: Final = tuple(each.name for each in (Workflows, WorkflowSteps, TaskRuns, TaskAttempts, DeadLetters, ReplayedRuns))
"""The read models that its views ask."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to answer."""

    min_position: Position | None = None


def show(call: Call) -> dict[str, Any]:
    """The workflow of that story, or that the run belongs to; with a position, once the read models have come there."""
    named = call.path["workflow_id"]
    with call.desk.reading() as connection:
        for projection in READ:
            await_position(connection, projection, Log.TASKS, call.query.min_position)
        ask = asking(connection)
        story = story_of(ask, named)
        found = None if story is None else workflow(ask, story)
    if found is None:
        what = f"the read models know no workflow {named}" if story is None else f"run {named} belongs to no workflow"
        raise Problem(HTTPStatus.NOT_FOUND, what)
    told: dict[str, Any] = call.desk.redact.value(values_of(found))
    return told


WORKFLOWS: Final = (
    Operation(
        method="GET",
        path="/workflows/{workflow_id}",
        name="showWorkflow",
        summary="A chain, group or chord with its steps, by its story or any of its runs.",
        role=Role.VIEWER,
        handle=show,
        query=Wanted,
        answer=dict[str, Any],
        problems=(HTTPStatus.CONFLICT,),
    ),
)

"""From a chain or chord in the log to the fork that somebody asks for, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from domain.aggregate import Event
from domain.cause import Cause
from domain.chain import Step, WorkflowForked, anew, fork_id
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.run import RunState
from domain.signature import steps_of
from domain.task_run import TaskRequested
from infra.event_store import NewEvent, caused
from tasks.forks.asking import Asking
from tasks.forks.members import Redeclared, all_again, body_again, failed_again, new_runs
from tasks.forks.records import has_failed
from tasks.forks.refusal import ForkRefusedError
from tasks.forks.workflow import Workflow

FAILED: Final = "failed"


class Part(StrEnum):
    """What of a step is done again; the value is part of the fork's id."""

    ALL = ""
    BODY = "/body"
    FAILED = "/failed"


class Start(NamedTuple):
    """Where a fork begins."""

    step: Step
    part: Part = Part.ALL


class Fork(NamedTuple):
    """What is to be recorded for a fork, and what it says.

    Attributes:
        run_id: the run that the step passes the value of on; of a group, the group.
        again: how many members are executed again.
        facts: what is to be recorded.
    """

    step: Step
    run_id: str
    again: int
    facts: list[NewEvent]

    @property
    def text(self) -> str:
        """In words."""
        step = f"step {self.step.number} ({self.step.task})"
        if self.again and self.step.kind == "group":
            return f"{self.again} member(s) of {step} again"
        before = f"{self.again} member(s) again, then " if self.again else ""
        return f"{before}{step} as run {self.run_id}"


def start_named(workflow: Workflow, named: str) -> Start:
    """A step by its number or its task's name (of a chord, its body's), or where it failed.

    Raises:
        ForkRefusedError: there is none, or more than one; the text lists them.
    """
    if named == FAILED:
        return _where_it_failed(workflow)
    by_number = [Start(step) for step in workflow.steps if named == str(step.number)]
    by_task = [Start(s, Part.BODY if s.kind == "chord" else Part.ALL) for s in workflow.steps if named == s.task]
    found = by_number or by_task
    if len(found) != 1:
        what = "no step" if not found else f"{len(found)} steps"
        raise ForkRefusedError(f"{what} of the chain: {named!r}; name one by its number:\n{workflow.listed()}")
    return found[0]


def _where_it_failed(workflow: Workflow) -> Start:
    step = next((each for each in workflow.steps if has_failed(workflow.state(each))), None)
    if step is None:
        raise ForkRefusedError(f"nothing of it has failed:\n{workflow.listed()}")
    if step.kind == "chord" and not workflow.failed_before_its_body(step):
        return Start(step, Part.BODY)
    return Start(step, Part.ALL if step.kind is None else Part.FAILED)


def plan(workflow: Workflow, start: Start, *, name: str, actor: str) -> Fork:
    """The fork of a chain or chord.

    Raises:
        ForkRefusedError: it is under way, a step before has no result, or the log does not have what is needed.
    """
    _refuse_what_cannot_be(workflow, start.step)
    step, now = start.step, datetime.now(UTC)
    fork = fork_id(workflow.root, f"{step.number}{start.part}", name)
    asking = Asking(workflow.records, fork, now)
    declared, requests = _asked(asking, workflow, start)
    said = WorkflowForked(
        originator_id=f"fork-{fork}",
        originator_version=1,
        timestamp=now,
        forked_from=workflow.root,
        step=step.number,
        task=step.task,
        run_id=anew(step.run_id, fork),
        fan_in_id=declared[0].originator_id.removeprefix(fan_in_stream("")) if declared else None,
        again=new_runs(requests) if start.part is Part.FAILED or declared else (),
    )
    story = said.fan_in_id or (said.run_id if step.kind is None else new_runs(requests)[0])
    cause = Cause(id=fork, at=now, actor=actor, correlation_id=story, causation_id=str(workflow.told.event_id))
    facts: Sequence[Event] = [said, *declared, *requests]
    return Fork(step, said.run_id, len(said.again), caused(facts, cause))


def _asked(asking: Asking, workflow: Workflow, start: Start) -> tuple[list[FanInDeclared], list[TaskRequested]]:
    step = start.step
    if step.kind is None:
        return [], [asking.step(workflow, step)]
    told = None if step.fan_in_id is None else asking.records.declared(step.fan_in_id)
    if told is None or (start.part is Part.ALL and step.number > 1):
        if start.part is Part.FAILED:
            return [], _failed_of_group(asking, step)
        if start.part is Part.BODY:
            raise ForkRefusedError(f"step {step.number} has not begun; fork from it by its number")
        return [], [asking.canvas(workflow, step)]
    assert isinstance(told.event, FanInDeclared)  # noqa: S101  it was found as one
    how = {Part.ALL: all_again, Part.BODY: body_again, Part.FAILED: failed_again}[start.part]
    made: Redeclared = how(asking, told.event)
    return [made.declared, *made.others], made.requests


def _failed_of_group(asking: Asking, step: Step) -> list[TaskRequested]:
    runs = [each.run_id for each in steps_of({**step.signature, "options": {}})]
    return [asking.again(run) for run in runs if has_failed(asking.records.state(run))]


def _refuse_what_cannot_be(workflow: Workflow, step: Step) -> None:
    if workflow.is_under_way():
        raise ForkRefusedError(f"it is under way; revoke it first, or wait for its end:\n{workflow.listed()}")
    for before in workflow.steps[: step.number - 1]:
        if workflow.state(before) is not RunState.SUCCEEDED:
            raise ForkRefusedError(
                f"step {before.number} ({before.task}) has no result to go on with:\n{workflow.listed()}"
            )

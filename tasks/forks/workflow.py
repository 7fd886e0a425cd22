"""The chain or chord that a run belongs to, with its steps and where they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from domain import signature as signatures
from domain.chain import Step, TaskChainRecorded, steps_of, steps_of_fan_in
from domain.fan_in import FanInDeclared, FanInFailed
from domain.run import RunState
from infra.event_store import Recorded
from tasks.forks.records import Records, has_failed
from tasks.forks.refusal import ForkRefusedError

LINKS_AT_MOST: Final = 1_000
"""How far back the first run of a chain is looked for."""


class Workflow(NamedTuple):
    """A chain, or a fan-in and what follows it, as the log knows it.

    Attributes:
        records: what is read of its runs.
        told: the event that says what it was to do.
        root: its first run, or its fan-in.
        steps: in order.
    """

    records: Records
    told: Recorded
    root: str
    steps: list[Step]

    def state(self, step: Step) -> RunState | None:
        """Where a step is; None: nothing is recorded of it."""
        return self.records.combined(_runs_of(step))

    def failed_before_its_body(self, step: Step) -> bool:
        """Whether it is a chord too many of whose members ended badly."""
        fan_in_id = step.fan_in_id
        return fan_in_id is not None and isinstance(self.records.settled(fan_in_id), FanInFailed)

    def is_under_way(self) -> bool:
        """Whether something of it is still to come."""
        states = [self.state(each) for each in self.steps]
        return not any(map(has_failed, states)) and (states[-1] is None or not states[-1].is_end)

    def listed(self) -> str:
        """Its steps in words."""
        return "\n".join(
            f"  {s.number}  {s.task}  {self.state(s) or 'not begun'}  {self._where(s)}" for s in self.steps
        )

    def _where(self, step: Step) -> str:
        told = None if step.fan_in_id is None else self.records.declared(step.fan_in_id)
        if told is None or not isinstance(told.event, FanInDeclared):
            return step.run_id
        ends = [self.records.state(member[-1]) for member in told.event.members]
        return f"{step.run_id}  (after {ends.count(RunState.SUCCEEDED)} of {len(ends)} runs of {step.fan_in_id})"


def workflow_of(records: Records, named: str) -> Workflow:
    """The innermost chain that a run is a link of; else the chord that it is a member or the body of.

    Args:
        records: of the log.
        named: a run, or a fan-in (Celery's id of the group).

    Raises:
        ForkRefusedError: nothing is recorded of it, or of what it belongs to.
    """
    if (declared := records.declared(named)) is not None:
        return _around(records, declared)
    if not records.story(named):
        raise ForkRefusedError(f"nothing is recorded of a run {named}, or of a fan-in of that name")
    chain = chain_with(records, named)
    if chain is not None:
        return _grown(records, chain)
    for fan_in_id in [records.fan_in_before(named), *records.fan_ins_around(named)]:
        if fan_in_id is not None and (declared := records.declared(fan_in_id)) is not None:
            return _around(records, declared)
    story = str(records.story(named)[0].metadata.get("correlation_id"))
    if (declared := records.declared(story)) is not None:  # the body of a chord whose story was taken back
        around = _around(records, declared)
        if named in {run for step in around.steps for run in _all_runs_of(step)}:
            return around
    raise ForkRefusedError(f"run {named} belongs to no chain or chord that is recorded")


def chain_with(records: Records, run_id: str, *, is_outer: bool = False) -> Workflow | None:
    """The chain that a run is in: its own, or that of a run before it, or of its story's first.

    Args:
        records: of the log.
        run_id: the run.
        is_outer: not its own.
    """
    at, seen = run_id, {run_id} if is_outer else set()
    for _ in range(LINKS_AT_MOST):
        chain = None if at in seen else _chain(records, at)
        if chain is not None and run_id in {run for step in chain.steps for run in _all_runs_of(step)}:
            return chain
        seen.add(at)
        story = records.story(at)
        known = story[0].metadata if story else {}
        following = next((str(known[name]) for name in ("causation_id", "correlation_id") if name in known), None)
        if following in seen or following is None or not records.story(following):
            following = str(known.get("correlation_id", ""))
        if not following or following in seen:
            return None
        at = following
    return None


def _chain(records: Records, run_id: str) -> Workflow | None:
    found = records.chain_of(run_id)
    if found is None or not isinstance(found.event, TaskChainRecorded) or not found.event.links:
        return None
    steps = steps_of(found.event)
    records.load([run for step in steps for run in _runs_of(step)])
    return Workflow(records, found, run_id, steps)


def _grown(records: Records, chain: Workflow) -> Workflow:
    """The chain itself; where its first run is the body of a chord, what the chord begins or is in."""
    before = records.fan_in_before(chain.root)
    declared = None if before is None else records.declared(before)
    return chain if declared is None else _around(records, declared)


def _around(records: Records, declared: Recorded) -> Workflow:
    """The chain that a fan-in is a step of, else that which begins with it."""
    event = declared.event
    assert isinstance(event, FanInDeclared)  # noqa: S101  it was found as one
    records.load([run for member in event.members for run in member])
    steps = steps_of_fan_in(event)
    fan_in_id = str(steps[0].fan_in_id)
    for run_id in (event.members[0][0], str(declared.metadata.get("correlation_id"))):
        chain = chain_with(records, run_id, is_outer=run_id == event.members[0][0])
        if chain is not None and any(step.fan_in_id == fan_in_id for step in chain.steps):
            return _grown(records, chain)
    return Workflow(records, declared, fan_in_id, steps)


def _runs_of(step: Step) -> Collection[str]:
    """The runs whose ends are the step's."""
    if step.kind is None:
        return [step.run_id]
    told = (
        (step.signature.get("kwargs") or {}).get("body") or step.signature if step.kind == "chord" else step.signature
    )
    if told.get("subtask_type") is None:
        return [step.run_id]
    return [each.run_id for each in signatures.steps_of({**told, "options": {}})]


def _all_runs_of(step: Step) -> set[str]:
    return {step.run_id, *(each.run_id for each in signatures.steps_of({**step.signature, "options": {}}))}

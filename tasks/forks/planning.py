"""From a chain in the log to the fork that somebody asks for, or the reason why there is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from domain.cause import Cause
from domain.chain import Step, TaskChainRecorded, WorkflowForked, fork_id, forked, steps_of
from domain.kept_message import Carried
from domain.run import RunState, TaskRun
from domain.task_run import SLOT_REQUESTED, TaskEvent, TaskRequested, TaskSucceeded, run_stream
from domain.tier import Tier
from infra.event_store import EventStore, Log, NewEvent, Recorded, caused
from infra.event_store.payloads import kept
from tasks.app import BEGAN_AT
from tasks.worker.outcome import TEXT_LIMIT

_TIER_OF_QUEUE: Final = {tier.queue: tier for tier in Tier}


class ForkRefusedError(Exception):
    """The chain cannot be forked there; the text says why, and what can be."""


class Chain(NamedTuple):
    """A chain as the log knows it.

    Attributes:
        recorded: its first run's ``task.chain_recorded``, in its envelope.
        event: the same.
        steps: in order.
        stories: what is recorded of each step's run, as far as it was begun.
    """

    recorded: Recorded
    event: TaskChainRecorded
    steps: list[Step]
    stories: list[list[TaskEvent]]

    def state(self, step: Step) -> RunState | None:
        """Where the step's run is; None: nothing is recorded of it."""
        story = self.stories[step.number - 1]
        return TaskRun.fold(story).state if story else None

    def listed(self) -> str:
        """Its steps in words."""
        return "\n".join(f"  {s.number}  {s.task}  {self.state(s) or 'not begun'}  {s.run_id}" for s in self.steps)


class Fork(NamedTuple):
    """What is to be recorded for a fork, and what it says."""

    step: Step
    run_id: UUID
    facts: list[NewEvent]


def chain_in(store: EventStore, run_id: str) -> Chain:
    """The chain that a run belongs to.

    Raises:
        ForkRefusedError: nothing is recorded of the run, or of its chain.
    """
    story = _story(store, run_id)
    if not story:
        raise ForkRefusedError(f"nothing is recorded of a run {run_id}")
    root = story[0].metadata.get("correlation_id", run_id)
    found = _chain(story) or _chain(_story(store, str(root)))
    if found is None or not isinstance(found.event, TaskChainRecorded):
        raise ForkRefusedError(f"run {run_id} belongs to no chain whose steps are recorded")
    steps = steps_of(found.event)
    streams = store.load(Log.TASKS, {run_stream(step.run_id) for step in steps})
    told = [streams.get(run_stream(step.run_id), []) for step in steps]
    return Chain(found, found.event, steps, [[e for e in events if isinstance(e, TaskEvent)] for events in told])


def step_named(chain: Chain, named: str) -> Step:
    """A step by its number or its task's name.

    Raises:
        ForkRefusedError: there is none, or more than one; the text lists them.
    """
    found = [step for step in chain.steps if named in {str(step.number), step.task}]
    if len(found) != 1:
        what = "no step" if not found else f"{len(found)} steps"
        raise ForkRefusedError(f"{what} of the chain: {named!r}; name one by its number:\n{chain.listed()}")
    return found[0]


def plan(store: EventStore, chain: Chain, step: Step, *, name: str, actor: str) -> Fork:
    """The fork of a chain from a step on.

    Raises:
        ForkRefusedError: the chain is under way, a step before has no result, or the step cannot begin a chain.
    """
    _refuse_what_cannot_be(chain, step)
    fork, now = fork_id(chain.steps[0].run_id, step.number, name), datetime.now(UTC)
    run_id = uuid5(fork, step.run_id)
    signature = forked(step.signature, fork)
    options = signature.get("options") or {}
    given = [] if step.number == 1 or signature.get("immutable") else [_result(store, chain, step)]
    event = TaskRequested(
        originator_id=run_stream(run_id),
        originator_version=SLOT_REQUESTED,
        timestamp=now,
        task=step.task,
        args=(*given, *(signature.get("args") or ())),
        kwargs=signature.get("kwargs") or {},
        tier=_tier(options.get("queue") or chain.event.queue).value,
        priority=options.get("priority") or chain.event.priority,
        carried=Carried(embed=_embed(chain, step, options, fork), headers={BEGAN_AT: now.isoformat()}),
    )
    said = WorkflowForked(
        originator_id=f"fork-{fork}",
        originator_version=1,
        timestamp=now,
        forked_from=chain.steps[0].run_id,
        step=step.number,
        task=step.task,
        run_id=str(run_id),
    )
    cause = Cause(id=fork, at=now, actor=actor, correlation_id=str(run_id), causation_id=str(chain.recorded.event_id))
    return Fork(step, run_id, caused([said, event], cause))


def _refuse_what_cannot_be(chain: Chain, step: Step) -> None:
    states = [chain.state(each) for each in chain.steps]
    has_failed = any(state is not None and state.is_end and state is not RunState.SUCCEEDED for state in states)
    if not has_failed and (states[-1] is None or not states[-1].is_end):
        raise ForkRefusedError(f"the chain is under way; revoke it first, or wait for its end:\n{chain.listed()}")
    for before in chain.steps[: step.number - 1]:
        if chain.state(before) is not RunState.SUCCEEDED:
            raise ForkRefusedError(
                f"step {before.number} ({before.task}) has no result to go on with:\n{chain.listed()}"
            )
    if step.is_canvas:
        raise ForkRefusedError(
            f"step {step.number} is a {step.signature['subtask_type']}; fork from a step before or after it:\n"
            f"{chain.listed()}"
        )


def _embed(chain: Chain, step: Step, options: dict[str, Any], fork: UUID) -> dict[str, Any]:
    rest = [forked(each.signature, fork) for each in chain.steps[step.number :]]
    return {
        "chain": rest[::-1] or None,  # Celery takes the next one from the end
        "callbacks": options.get("link") or None,
        "errbacks": options.get("link_error") or None,
    }


def _result(store: EventStore, chain: Chain, step: Step) -> Any:
    """What the step before returned."""
    before = chain.steps[step.number - 2]
    end = next(event for event in chain.stories[before.number - 1] if isinstance(event, TaskSucceeded))
    if end.result is None:
        return None
    if len(end.result) <= TEXT_LIMIT:
        return msgspec.json.decode(end.result)
    with store.transaction() as transaction:
        whole = kept(transaction.connection, before.run_id)
    if whole is None:
        text = f"the result of step {before.number} ({before.task}) is longer than what the log keeps of one"
        raise ForkRefusedError(f"{text}, and not kept beside it any more; fork from there or before")
    return msgspec.json.decode(whole)


def _tier(queue: object) -> Tier:
    return _TIER_OF_QUEUE.get(str(queue), Tier.NORMAL)


def _story(store: EventStore, run_id: str) -> list[Recorded]:
    return store.load_recorded(Log.TASKS, [run_stream(run_id)]).get(run_stream(run_id), [])


def _chain(story: list[Recorded]) -> Recorded | None:
    return next((each for each in story if isinstance(each.event, TaskChainRecorded)), None)

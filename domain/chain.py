"""Chains: what a chain of tasks was to do, as its first run's message said it, and forks of it.

A fork is a new chain that begins with one of the steps: what the steps before it returned is used, not done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID, uuid5

from domain.aggregate import Event
from domain.task_run import AttemptEvent

SLOT_CHAIN: Final = 2**32
"""The place of the chain that a run begins; it does not change the run's state."""
FORKS: Final = UUID("0192d7a5-d1c2-7a51-9c30-666f726b7321")
"""Namespace (RFC 9562, name-based UUIDs) of forks."""
_IDS: Final = frozenset({"task_id", "group_id", "group"})
_OF_THE_OLD: Final = frozenset({"root_id", "parent_id", "reply_to"})


class TaskChainRecorded(AttemptEvent, frozen=True, kw_only=True):
    """The run is the first of a chain. ``links`` are those after it, in order, as Celery's signatures."""

    TOPIC: ClassVar[str] = "task.chain_recorded"
    links: tuple[dict[str, Any], ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    priority: int | None = None

    def slot(self) -> int:
        """A place of its own."""
        return SLOT_CHAIN


class WorkflowForked(Event, frozen=True, kw_only=True):
    """Somebody had a chain done again from one of its steps on, as run ``run_id`` and those after it."""

    TOPIC: ClassVar[str] = "workflow.forked"
    forked_from: str
    """The first run of the chain."""
    step: int
    """Counted from 1."""
    task: str
    run_id: str


class Step(NamedTuple):
    """One step of a chain.

    Attributes:
        number: from 1.
        task: its task's name; of a chord, that of its body.
        run_id: of the run whose value it passes on.
        signature: as Celery has it.
    """

    number: int
    task: str
    run_id: str
    signature: Mapping[str, Any]

    @property
    def is_canvas(self) -> bool:
        """Whether it is more than one task: a chord or a group."""
        return self.signature.get("subtask_type") in {"chord", "group", "chain"}


def steps_of(recorded: TaskChainRecorded) -> list[Step]:
    """All steps of a chain, in order."""
    run_id = recorded.originator_id.partition("-")[2]
    first = {"task": recorded.task, "args": list(recorded.args), "kwargs": recorded.kwargs, "options": {}}
    steps = [Step(1, recorded.task, run_id, first)]
    for number, link in enumerate(recorded.links, 2):
        told = link.get("kwargs", {}).get("body") or link if link.get("subtask_type") == "chord" else link
        run = told.get("options", {}).get("task_id") or link.get("options", {}).get("task_id")
        steps.append(Step(number, str(told.get("task")), str(run), link))
    return steps


def fork_id(root: str, step: int, name: str) -> UUID:
    """The same for the same fork, however often it is asked for."""
    return uuid5(FORKS, f"{root}/{step}/{name}")


def forked(value: Any, fork: UUID) -> Any:
    """A signature, or anything within one, as it is in a fork: each run has another id, the same every time."""
    if isinstance(value, Mapping):
        return {
            name: str(uuid5(fork, each)) if name in _IDS and isinstance(each, str) else forked(each, fork)
            for name, each in value.items()
            if name not in _OF_THE_OLD
        }
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [forked(each, fork) for each in value]
    return value

"""Chains and chords: what they were to do, as their first runs' messages and their fan-ins said it, and forks of them.

A fork is a new one that begins with one of the steps: what the steps before it returned is used, not done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID, uuid5

from domain.aggregate import Event
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.task_run import AttemptEvent, run_stream

SLOT_CHAIN: Final = 2**32
"""The place of the chain that a run begins; it does not change the run's state."""
FORKS: Final = UUID("0192d7a5-d1c2-7a51-9c30-666f726b7321")
"""Namespace (RFC 9562, name-based UUIDs) of forks."""
_KINDS: Final = frozenset({"chord", "group", "chain"})
_PARTS: Final = frozenset({"tasks", "header", "body"})
"""Arguments of those that are signatures."""
_IDS: Final = frozenset({"task_id", "group_id"})
_SIGNATURES: Final = frozenset({"link", "link_error", "chain", "chord"})
_OF_THE_OLD: Final = frozenset({"root_id", "parent_id", "reply_to"})


class TaskChainRecorded(AttemptEvent, frozen=True, kw_only=True):
    """The run is the first of a chain, or a fan-in's member. ``links`` are those after it, as Celery's signatures."""

    TOPIC: ClassVar[str] = "task.chain_recorded"
    links: tuple[dict[str, Any], ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    priority: int | None = None
    callbacks: tuple[dict[str, Any], ...] = ()
    errbacks: tuple[dict[str, Any], ...] = ()
    license_id: str | None = None
    """The license that it names: of a run that was never begun nothing else tells."""

    def slot(self) -> int:
        """A place of its own."""
        return SLOT_CHAIN


class WorkflowForked(Event, frozen=True, kw_only=True):
    """Somebody had a chain or a chord done again from one of its steps on, as run ``run_id`` and those after it."""

    TOPIC: ClassVar[str] = "workflow.forked"
    forked_from: str
    """The first run of the chain, or the fan-in that begins it."""
    step: int
    """Counted from 1."""
    task: str
    run_id: str
    fan_in_id: str | None = None
    """The new fan-in, where the step is one."""
    again: tuple[str, ...] = ()
    """Of its members those that are executed again."""


class Step(NamedTuple):
    """One step of a chain.

    Attributes:
        number: from 1.
        task: its task's name; of a chord, that of its body.
        run_id: of the run whose value it passes on.
        signature: as Celery has it; of a chord that nothing but its fan-in tells of, without its header.
    """

    number: int
    task: str
    run_id: str
    signature: Mapping[str, Any]

    @property
    def kind(self) -> str | None:
        """``chord``, ``group`` or ``chain``; None: it is one task."""
        kind = self.signature.get("subtask_type")
        return str(kind) if kind in _KINDS else None

    @property
    def fan_in_id(self) -> str | None:
        """Of a chord its fan-in."""
        named = (self.signature.get("options") or {}).get("task_id")
        return str(named) if self.kind == "chord" and named else None


def steps_of(recorded: TaskChainRecorded) -> list[Step]:
    """All steps of a chain, in order."""
    options = {"link": list(recorded.callbacks), "link_error": list(recorded.errbacks)}
    first = {"task": recorded.task, "args": list(recorded.args), "kwargs": recorded.kwargs, "options": options}
    run_id = recorded.originator_id.removeprefix(run_stream(""))
    return [Step(1, recorded.task, run_id, first), *_links(recorded.links, first=2)]


def steps_of_fan_in(declared: FanInDeclared) -> list[Step]:
    """The steps of a fan-in that nothing comes before: members and body are one, the links behind the body follow."""
    body, behind = declared.body, _options(declared.body).get("chain") or []
    links = list(behind[::-1])  # Celery takes the next one from the end
    tasks = (body.get("kwargs") or {}).get("tasks") or ()
    if body.get("subtask_type") == "chain" and tasks:
        body, *rest = (_with_errbacks(each, _options(declared.body).get("link_error")) for each in tasks)
        links = [*rest, *links]
    fan_in_id = declared.originator_id.removeprefix(fan_in_stream(""))
    chord = {"subtask_type": "chord", "kwargs": {"body": body}, "options": {"task_id": fan_in_id}}
    return _links([chord, *links], first=1)


def _links(links: Sequence[Mapping[str, Any]], *, first: int) -> list[Step]:
    steps = []
    for number, link in enumerate(links, first):
        told = (link.get("kwargs") or {}).get("body") or link if link.get("subtask_type") == "chord" else link
        run = _options(told).get("task_id") or _options(link).get("task_id")
        steps.append(Step(number, str(told.get("task")), str(run), link))
    return steps


def _options(signature: Mapping[str, Any]) -> Mapping[str, Any]:
    return signature.get("options") or {}


def _with_errbacks(link: Mapping[str, Any], errbacks: Sequence[Any] | None) -> dict[str, Any]:
    """A link as the chain sends it: the chain's error callbacks are each link's."""
    options = _options(link)
    return {**link, "options": {**options, "link_error": [*(options.get("link_error") or ()), *(errbacks or ())]}}


def fork_id(root: str, start: str, name: str) -> UUID:
    """The same for the same fork, however often it is asked for.

    Args:
        root: the first run of the chain, or the fan-in.
        start: where it begins: the step's number, and what of it where that is not all.
        name: tells several forks from one start apart.
    """
    return uuid5(FORKS, f"{root}/{start}/{name}")


def anew(run_id: str, fork: UUID) -> str:
    """What a run, a group or a fan-in of the old one is called in a fork; the same every time."""
    return str(uuid5(fork, run_id))


def forked(signature: Any, fork: UUID) -> Any:
    """A signature as it is in a fork: each run has another id, the same every time; arguments stay as they are.

    Args:
        signature: as Celery has it, or several, or None.
        fork: the fork.
    """
    if isinstance(signature, Sequence) and not isinstance(signature, str):
        return [forked(each, fork) for each in signature]
    if not isinstance(signature, Mapping):
        return signature
    options = {name: _option(name, each, fork) for name, each in _options(signature).items() if name not in _OF_THE_OLD}
    kwargs = signature.get("kwargs") or {}
    if signature.get("subtask_type") in _KINDS:
        kwargs = {name: forked(each, fork) if name in _PARTS else each for name, each in kwargs.items()}
    return {**signature, "kwargs": kwargs, "options": options}


def _option(name: str, value: Any, fork: UUID) -> Any:
    if name in _IDS and isinstance(value, str):
        return anew(value, fork)
    return forked(value, fork) if name in _SIGNATURES else value

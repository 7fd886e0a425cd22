"""What steps a workflow is to have: read from what a chain's first run, a fan-in's declaration and a saved group said.

A step is a run that is named before it is accepted. Whether it is ever reached is told by the run's own events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from domain.aggregate import Event
from domain.chain import Step, TaskChainRecorded
from domain.chain import steps_of as links_of
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.signature import steps_of as runs_of
from domain.task_group import GroupSaved, group_stream
from domain.task_group import members_of as saved_members_of

_SIMPLE = frozenset({None, "chain"})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a workflow a run has its place, as one event says it; others may say more.

    Attributes:
        run_id: the run.
        task: its task's name; None: the event does not say.
        chain_id: first run of the chain that it is a step of.
        chain_step: which, from 1; the members and the body of a chord that is a link have that link's.
        group_id: Celery's id of the group that it is a member of; a chord's is that of its fan-in.
        member: which member, from 1.
        link: which link of that member, from 1.
        branch: the first member that begins with the same run: one that ends in a group counts as several.
        body_of: the fan-in that asks for it.
        body_link: which task of the fan-in's body, from 1.
        wanted: of a body: how many members have to succeed; None: all, or not said.
    """

    run_id: str
    task: str | None = None
    chain_id: str | None = None
    chain_step: int | None = None
    group_id: str | None = None
    member: int | None = None
    link: int | None = None
    branch: int | None = None
    body_of: str | None = None
    body_link: int | None = None
    wanted: int | None = None


def places_of(event: Event) -> Iterator[Place]:
    """The places that an event gives runs; none where it plans nothing. A run may be given several."""
    match event:
        case TaskChainRecorded(links=links) if links:
            first, *others = links_of(event)
            yield Place(run_id=first.run_id, task=first.task, chain_id=first.run_id, chain_step=1)
            for step in others:
                yield from _of_link(first.run_id, step)
        case FanInDeclared():
            fan_in_id = event.originator_id.removeprefix(fan_in_stream(""))
            yield from _of_group(fan_in_id, event.members)
            yield from _of_body(event.body, fan_in_id, wanted=event.least)
        case GroupSaved():
            yield from _of_group(event.originator_id.removeprefix(group_stream("")), saved_members_of(event))


def _of_group(group_id: str, members: Sequence[Sequence[str]]) -> Iterator[Place]:
    branches: dict[str, int] = {}
    for member, runs in enumerate(members, 1):
        branch = branches.setdefault(runs[0], member)
        for link, run_id in enumerate(runs, 1):
            yield Place(run_id=run_id, group_id=group_id, member=member, link=link, branch=branch)


def _of_link(chain_id: str, step: Step) -> Iterator[Place]:
    """A link that is a task is one run; one that is a chord or a group is all of its runs."""
    signature, number = step.signature, step.number
    kwargs, options = signature.get("kwargs") or {}, signature.get("options") or {}
    match signature.get("subtask_type"), options.get("task_id"):
        case "chord", str(group_id):
            members = _of_members(kwargs.get("header"), group_id)
            places = [*members, *_of_body(kwargs.get("body") or {}, group_id)]
        case "group", str(group_id):
            places = list(_of_members(kwargs, group_id))
        case _:
            places = [Place(run_id=run_id, task=task) for run_id, task in runs_of(_alone(signature))]
    for place in places:
        yield msgspec.structs.replace(place, chain_id=chain_id, chain_step=number)


def _of_members(header: Any, group_id: str) -> Iterator[Place]:
    """Members that are a task or a chain of tasks; what others consist of is known once their fan-ins are declared."""
    tasks = (header.get("kwargs") or header).get("tasks") if isinstance(header, Mapping) else header
    for member, each in enumerate(tasks if isinstance(tasks, Sequence) else (), 1):
        if isinstance(each, Mapping) and _is_simple(each):
            for link, (run_id, task) in enumerate(runs_of(each), 1):
                yield Place(run_id=run_id, task=task, group_id=group_id, member=member, link=link, branch=member)


def _of_body(body: Mapping[str, Any], fan_in_id: str, *, wanted: int | None = None) -> Iterator[Place]:
    for number, (run_id, task) in enumerate(runs_of(body), 1):
        yield Place(run_id=run_id, task=task, body_of=fan_in_id, body_link=number, wanted=wanted)


def _is_simple(signature: Mapping[str, Any]) -> bool:
    parts = [*((signature.get("kwargs") or {}).get("tasks") or ()), *_behind(signature)]
    kind = signature.get("subtask_type")
    return kind is None or (kind in _SIMPLE and all(_is_simple(part) for part in parts))


def _behind(signature: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (signature.get("options") or {}).get("chain") or ()


def _alone(signature: Mapping[str, Any]) -> dict[str, Any]:
    """The link without those behind it, which are steps of their own."""
    options = {name: value for name, value in (signature.get("options") or {}).items() if name != "chain"}
    return {**signature, "options": options}

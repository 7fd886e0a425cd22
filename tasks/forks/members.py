"""A chord's members in a fork: those that are used as they ended, and those that are executed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from domain.chain import anew, forked
from domain.fan_in import DECLARED, Count, FanInDeclared, FanInFailed, Standing, fan_in_stream, standing
from domain.run import RunState
from domain.task_run import TaskRequested, run_stream
from tasks.dispatch import settling
from tasks.forks.asking import Asking
from tasks.forks.records import has_failed
from tasks.forks.refusal import ForkRefusedError
from tasks.forks.workflow import chain_with

_E = TypeVar("_E", FanInDeclared, TaskRequested)


class Redeclared(NamedTuple):
    """A fan-in of a fork.

    Attributes:
        declared: it; some of its members may have ended long ago.
        others: fan-ins within it that are declared again as well.
        requests: the runs that are asked for.
    """

    declared: FanInDeclared
    others: list[FanInDeclared]
    requests: list[TaskRequested]


def body_again(asking: Asking, told: FanInDeclared) -> Redeclared:
    """The body, with the values of all members that have succeeded.

    Raises:
        ForkRefusedError: too few have, or a value is not to be had any more.
    """
    good = [member for member in told.members if asking.records.state(member[-1]) is RunState.SUCCEEDED]
    least = len(told.members) if told.least is None else min(told.least, len(told.members))
    if len(good) < least:
        text = f"{len(good)} of {len(told.members)} runs before it have succeeded, and it wants {least}"
        raise ForkRefusedError(f"{text}; --from failed executes the others again")
    return _redeclared(asking, told, good, [], least=None)


def failed_again(asking: Asking, told: FanInDeclared) -> Redeclared:
    """Those members again that ended badly; the others count as they ended, or will.

    Raises:
        ForkRefusedError: the log does not have what one was called with, or a value is not to be had any more.
    """
    return _members_again(asking, told, is_all=False)


def all_again(asking: Asking, told: FanInDeclared) -> Redeclared:
    """All members again; see :func:`failed_again`."""
    return _members_again(asking, told, is_all=True)


def _members_again(asking: Asking, told: FanInDeclared, *, is_all: bool) -> Redeclared:
    members, parts = [], []
    is_cut_short = _is_cut_short(asking, told)
    for member in told.members:
        is_lost = is_cut_short and not any(asking.records.story(run) for run in member)
        first = 0 if is_all or is_lost else _first_failed(asking, member)
        if first is None:
            members.append(member)
            continue
        members.append(tuple(anew(run, asking.fork) for run in member[first:]))
        parts.append(_run_again(asking, member[first]))
    return _redeclared(asking, told, members, parts, least=told.least)


def _redeclared(
    asking: Asking,
    told: FanInDeclared,
    members: Sequence[tuple[str, ...]],
    parts: Sequence[Redeclared | TaskRequested],
    *,
    least: int | None,
) -> Redeclared:
    _check_values(asking, members)  # what is not to be had is said now, and not when the body is asked for
    fan_in_id = anew(told.originator_id.removeprefix(fan_in_stream("")), asking.fork)
    declared = FanInDeclared(
        originator_id=fan_in_stream(fan_in_id),
        originator_version=DECLARED,
        timestamp=asking.at,
        members=tuple(members),
        body=forked(told.body, asking.fork),
        least=least,
    )
    within = [each for each in parts if isinstance(each, Redeclared)]
    requests = [each for part in parts for each in (part.requests if isinstance(part, Redeclared) else [part])]
    others = [other for each in within for other in (each.declared, *each.others)]
    return Redeclared(declared, list(_each_once(others)), list(_each_once(requests)))


def _check_values(asking: Asking, members: Sequence[tuple[str, ...]]) -> None:
    """See that what members have returned can be handed on.

    Raises:
        ForkRefusedError: one value is not to be had any more, or they are too long together.
    """
    good = [member[-1] for member in members if asking.records.state(member[-1]) is RunState.SUCCEEDED]
    if sum(len(asking.records.text(run) or b"") for run in good) > settling.VALUES_LIMIT_BYTES:
        raise ForkRefusedError(
            f"what {len(good)} members have returned takes more than {settling.VALUES_LIMIT_BYTES} bytes together, "
            "which is one argument of one message"
        )


def _is_cut_short(asking: Asking, told: FanInDeclared) -> bool:
    """Whether it was ended while its members could still have been enough: half sent, or taken back with its story.

    A member of which nothing is recorded cannot come to anything good then.
    """
    settled = asking.records.settled(told.originator_id.removeprefix(fan_in_stream("")))
    if not isinstance(settled, FanInFailed):
        return False
    return standing(Count(len(told.members), settled.succeeded, settled.failed), told.least) is Standing.OPEN


def _first_failed(asking: Asking, member: Sequence[str]) -> int | None:
    """Which link of a member ended badly; None: it succeeded, or may yet."""
    if asking.records.state(member[-1]) is RunState.SUCCEEDED:
        return None
    return next((n for n, run in enumerate(member) if has_failed(asking.records.state(run))), None)


def _run_again(asking: Asking, run_id: str) -> Redeclared | TaskRequested:
    """One link of a member again: a body that was never asked for goes on with its own members."""
    within = asking.records.fan_in_before(run_id)
    if within is not None and isinstance(asking.records.settled(within), FanInFailed):
        told = asking.records.declared(within)
        assert told is not None  # noqa: S101  what is settled was declared
        assert isinstance(told.event, FanInDeclared)  # noqa: S101  it was found as one
        return failed_again(asking, told.event)
    try:
        return asking.again(run_id)
    except ForkRefusedError:
        chain = chain_with(asking.records, run_id)
        step = next((s for s in chain.steps if s.run_id == run_id and s.kind is None), None) if chain else None
        if chain is None or step is None or step.number == 1:
            raise
        return asking.step(chain, step)


def new_runs(requests: Sequence[TaskRequested]) -> tuple[str, ...]:
    """Their ids."""
    return tuple(each.originator_id.removeprefix(run_stream("")) for each in requests)


def _each_once(events: Sequence[_E]) -> Iterator[_E]:
    return iter({each.originator_id: each for each in events}.values())

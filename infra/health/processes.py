"""From what processes said of themselves to how they are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from domain.tier import Tier
from infra.health.component import Component, Status, judged
from infra.process_name import ProcessName

SINGLE: Final = (ProcessName.INGEST, ProcessName.DISPATCH, ProcessName.PROJECTOR, ProcessName.SCHEDULER)
"""Processes of which there has to be one at least, beside the workers."""
WORKERS: Final = {ProcessName.of_worker(tier): tier for tier in Tier}
MISSED_INTERVALS: Final = 3
"""A process that has said nothing for so many of its intervals is stopped, or gone."""


class Process(NamedTuple):
    """What one process said of itself, and how long ago.

    Attributes:
        told_seconds: since it said anything.
        turned_seconds: since the loop that does its work turned.
        has_session: whether the database session that it says so on is there: then so is the process, or its host's
            kernel at least.
    """

    name: str
    process: str
    told_seconds: float
    turned_seconds: float
    ready: bool
    has_session: bool
    up_seconds: float
    state: Mapping[str, Any]


class Manner(StrEnum):
    """How a process is."""

    WORKING = "working"
    NOT_READY = "not ready"
    """Its loop turns and cannot do its work: what it needs is away."""
    HANGS = "hangs"
    """It is there and its loop does not turn."""
    GONE = "gone"
    """It ended without a goodbye."""


class Limits(NamedTuple):
    """When silence counts, in seconds."""

    interval: float
    hang_after: float


def manner(process: Process, limits: Limits) -> Manner:
    """How the process is."""
    is_silent = process.told_seconds > MISSED_INTERVALS * limits.interval
    if is_silent and not process.has_session:
        return Manner.GONE
    if is_silent or process.turned_seconds > limits.hang_after:
        return Manner.HANGS
    return Manner.WORKING if process.ready else Manner.NOT_READY


def judge(processes: Sequence[Process], limits: Limits) -> dict[str, Component]:
    """A component for each process, and ``celery`` for all workers."""
    there = [(process, how) for process in processes if (how := manner(process, limits)) is not Manner.GONE]
    found = {name.value: _single([each for each in there if each[0].process == name], name) for name in SINGLE}
    return {"celery": _celery([each for each in there if each[0].process in WORKERS]), **found}


def _single(processes: Sequence[tuple[Process, Manner]], name: ProcessName) -> Component:
    return judged(_troubles(processes, f"no {name} works"), {"processes": _told(processes)})


def _celery(workers: Sequence[tuple[Process, Manner]]) -> Component:
    troubles = [
        trouble
        for name, tier in WORKERS.items()
        for trouble in _troubles(
            [each for each in workers if each[0].process == name], f"no worker of {tier.value} works"
        )
    ]
    told = _told(workers)
    facts = {
        "workers_count": sum(how is not Manner.HANGS for _, how in workers),
        "active_tasks": sum(len(process.state.get("active", ())) for process, _ in workers),
        "workers": told,
    }
    return judged(troubles, facts)


def _troubles(processes: Sequence[tuple[Process, Manner]], nobody: str) -> Iterator[tuple[Status, str]]:
    if not any(how is Manner.WORKING for _, how in processes):
        yield Status.UNHEALTHY, nobody
    for process, how in processes:
        if how is Manner.HANGS:
            yield Status.DEGRADED, f"{process.name} hangs"
        elif how is Manner.NOT_READY:
            yield Status.DEGRADED, f"{process.name} is not ready"


def _told(processes: Iterable[tuple[Process, Manner]]) -> dict[str, Any]:
    return {
        process.name: {
            "status": how,
            "turned_seconds_ago": round(process.turned_seconds, 1),
            "up_seconds": round(process.up_seconds),
            **process.state,
        }
        for process, how in sorted(processes)
    }

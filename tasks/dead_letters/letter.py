"""A dead letter as the log has it: what it asked for, and what has been decided about it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from domain.dead_letter import LetterDecision, LetterReplayed, LetterState
from domain.kept_message import Carried
from domain.task_run import TaskDeadLettered, TaskFailure, TaskRequested, run_stream
from domain.tier import TIER_OF_QUEUE, Tier
from infra.event_store import EventStore, EventUnreadableError, Log, Recorded

LOADED_AT_ONCE: Final = 200
UNKNOWN_TASK: Final = "unknown"
_OWN_TO_ITS_RUN: Final = frozenset(
    {"lang", "task", "id", "retries", "eta", "expires", "origin", "argsrepr", "kwargsrepr", "compression"}
)
"""Celery's headers that a new run gets anew; the others (time limits, group, root …) it carries on."""
_OWN_PREFIX: Final = "ledgerq-"
_TRACE: Final = frozenset({"traceparent", "tracestate"})


class Payload(NamedTuple):
    """What a task is called with, and what its message carries beside that."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    carried: Carried | None = None


class UnreplayableError(Exception):
    """The dead letter cannot be asked for again; the text says why."""


class Letter(NamedTuple):
    """A dead letter.

    Attributes:
        run_id: the run that died.
        fact: the recorded ``task.dead_lettered``.
        events: all of the run's, in order of slot.
    """

    run_id: str
    fact: Recorded
    events: tuple[Recorded, ...]

    @property
    def died(self) -> TaskDeadLettered:
        """The fact without its envelope."""
        event = self.fact.event
        assert isinstance(event, TaskDeadLettered)  # noqa: S101  that is what makes it a letter
        return event

    @property
    def requested(self) -> TaskRequested | None:
        """The run's request; None where nobody asked us for it."""
        return next((each.event for each in self.events if isinstance(each.event, TaskRequested)), None)

    @property
    def end(self) -> TaskFailure | None:
        """How a worker recorded the run's end; None where the broker ended it."""
        return next((each.event for each in self.events if isinstance(each.event, TaskFailure)), None)

    @property
    def task(self) -> str:
        """The task's name."""
        return self.requested.task if self.requested else self.died.task

    @property
    def died_at(self) -> datetime:
        """When it became a dead letter."""
        return self.died.timestamp

    @property
    def decisions(self) -> list[LetterDecision]:
        """What has been decided about it, the last one last."""
        return [each.event for each in self.events if isinstance(each.event, LetterDecision)]

    @property
    def state(self) -> LetterState:
        """What the last decision made of it."""
        match self.decisions:
            case []:
                return LetterState.OPEN
            case [*_, LetterReplayed()]:
                return LetterState.REPLAYED
            case _:
                return LetterState.DISCARDED

    @property
    def generation(self) -> int:
        """How many replays led to it."""
        return self.requested.generation if self.requested else 0

    @property
    def tier(self) -> Tier:
        """Where it is to be asked for: the tier of the queue it died in, else the one it was requested in."""
        known = TIER_OF_QUEUE.get(self.died.queue or "")
        if known is None and self.requested is not None and self.requested.tier in set(Tier):
            known = Tier(self.requested.tier)
        return known or Tier.NORMAL

    @property
    def priority(self) -> int | None:
        """The priority it had."""
        if self.died.priority is not None or self.requested is None:
            return self.died.priority
        return self.requested.priority

    @property
    def license_id(self) -> str | None:
        """Whose business it is."""
        return (self.requested.license_id if self.requested else None) or self.died.license_id

    def payload(self) -> Payload:
        """What the task was called with: as the dead message says or, where that is not kept, as was requested.

        Raises:
            UnreplayableError: neither says, or the message names no task.
        """
        if self.task == UNKNOWN_TASK:
            raise UnreplayableError("its message names no task")
        message = self.died.message
        body = message.body_bytes() if message else None
        if message and body is not None:
            try:
                args, kwargs, embed = _decoded(body, message.headers)
            except (ValueError, RecursionError) as error:
                raise UnreplayableError(f"its body is none that a task can be called with: {error}") from None
            return Payload(args, kwargs, Carried(embed=embed, headers=_carried(message.headers)))
        if self.requested is not None:
            return Payload(self.requested.args, self.requested.kwargs, self.requested.carried)
        size = f" ({message.size_bytes} bytes)" if message else ""
        raise UnreplayableError(f"its body{size} was not kept, and nobody had asked the platform for it")


def load_letters(store: EventStore, run_ids: Collection[str]) -> Iterator[Letter]:
    """The dead letters among the runs, in their order; runs that have none, or that cannot be read, are left out.

    Raises:
        DatabaseUnreachableError: the store cannot be asked.
    """
    left = iter(run_ids)
    while page := list(islice(left, LOADED_AT_ONCE)):
        stories = _stories(store, [run_stream(run_id) for run_id in page])
        for run_id in page:
            found = letter_of(run_id, stories.get(run_stream(run_id), []))
            if found is not None:
                yield found


def letter_of(run_id: str, events: Collection[Recorded]) -> Letter | None:
    """The dead letter that a run's events tell of; None where they tell of none."""
    facts = [each for each in events if isinstance(each.event, TaskDeadLettered)]
    return Letter(run_id, facts[-1], tuple(events)) if facts else None


def _stories(store: EventStore, streams: list[str]) -> dict[str, list[Recorded]]:
    try:
        return store.load_recorded(Log.TASKS, streams)
    except EventUnreadableError:
        if len(streams) == 1:
            return {}
        return {stream: story for each in streams for stream, story in _stories(store, [each]).items()}


def _decoded(body: bytes, headers: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Arguments and embedded part of a body of Celery's protocol 2.

    Raises:
        ValueError: it is none.
    """
    if headers.get("compression"):
        raise ValueError(f"it is compressed ({headers['compression']})")
    try:
        args, kwargs, embed = msgspec.json.decode(body, type=tuple[list[Any], dict[str, Any], dict[str, Any] | None])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    return tuple(args), kwargs, {name: value for name, value in (embed or {}).items() if value}


def _carried(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers that a new run takes along: none that says which run, which attempt or when."""
    return {
        name: value
        for name, value in headers.items()
        if name not in _OWN_TO_ITS_RUN and name not in _TRACE and not name.startswith(_OWN_PREFIX)
    }

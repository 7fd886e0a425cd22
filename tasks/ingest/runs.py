"""Task runs: requests, what workers report, and what is made of a report that comes after another end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from domain.cause import Cause
from domain.messages import LIFECYCLE, TaskRequestedData
from domain.refusal import Refusal
from domain.run_id import requested_run_id
from domain.task_run import (
    SLOT_END,
    SLOT_REQUESTED,
    AttemptEvent,
    RunAlreadyRequested,
    TaskEvent,
    TaskOutcomeIgnored,
    TaskRequested,
    TaskRetryScheduled,
    run_stream,
    task_event,
)
from domain.wait import TaskWaitBegan
from infra.event_store import EventStore, Log, NewEvent, Transaction, caused
from infra.event_store.payloads import Payload, keep
from tasks.ingest.admission import Admission
from tasks.ingest.reading import Told
from tasks.ingest.superseded import superseded
from tasks.ingest.unique import sift

REQUEST: Final = "task.requested"


class Decided(NamedTuple):
    """A fact about a run, with what it takes to record it otherwise where its slot is taken."""

    event: TaskEvent
    cause: Cause
    attempt: int
    """The attempt it tells of, from 1; that of a run's end where it tells of none."""
    told: Told | None = None
    """The message that said it, if it was a message on exchange `events`."""
    payload: bytes | None = None
    """The whole value that the run returned, where it is too long for the log."""

    @property
    def is_end(self) -> bool:
        """Whether the run would end with it."""
        return self.event.originator_version == SLOT_END

    @property
    def event_id(self) -> UUID:
        """The id it is recorded under."""
        return self.cause.event_id(0)

    def new(self) -> NewEvent:
        """As it is to be appended."""
        return caused([self.event], self.cause)[0]

    def ignored(self) -> NewEvent:
        """That it was told, and changes nothing."""
        event = self.event
        ignored = TaskOutcomeIgnored(
            originator_id=event.originator_id,
            originator_version=0,
            timestamp=event.timestamp,
            task=event.task,
            attempt=self.attempt,
            queue=getattr(event, "queue", None),
            worker=getattr(event, "worker", None),
            outcome=event.TOPIC,
        )
        placed = msgspec.structs.replace(ignored, originator_version=ignored.slot())
        return caused([placed], self.cause, first=1)[0]


class Decisions(NamedTuple):
    """What the messages of a batch say about runs."""

    facts: list[Decided]
    refused: list[tuple[Told, Refusal]]
    """Requests for a run that exists already, and those for which the backlog has no room."""


def decide_all(store: EventStore, told: Sequence[Told], *, admission: Admission) -> Decisions:
    """What messages say about runs, in order of arrival, without the requests that are stored already.

    Where two processes take in requests at the same moment, neither finds the other's. The same request twice then
    meets in the slot of its run, unless its sender names another run each time; and a run that a worker tells of for
    the first time at that very moment counts as requested.

    Args:
        store: where streams of runs that requests name, and the requests that came before, are looked for.
        told: messages of which :func:`is_about_runs`.
        admission: whether there is room for another request.
    """
    decisions = Decisions([], [])
    begun, known = _looked_up(store, [each for each in told if each.event.type == REQUEST])
    for each in told:
        decided = decide(each)
        stream = decided.event.originator_id
        if each.event.type == REQUEST:
            if each.cause.event_id(0) in known:
                continue
            known.add(each.cause.event_id(0))
            if stream in begun:
                decisions.refused.append((each, RunAlreadyRequested(stream)))
                continue
        if isinstance(each.data, TaskRequestedData) and (refusal := admission.refusal(each.data, stream)):
            decisions.refused.append((each, refusal))
            continue
        begun.add(stream)
        decisions.facts.append(decided)
    return decisions


def _looked_up(store: EventStore, requests: Sequence[Told]) -> tuple[set[str], set[UUID]]:
    """Streams there are of the runs that requests name, and ids of the events there are of requests themselves."""
    asked = [each.data for each in requests if isinstance(each.data, TaskRequestedData)]
    begun = set(store.load(Log.TASKS, {run_stream(data.run_id) for data in asked if data.run_id}))
    # Asked after loading: a repeat that another ingest stores in between is then known, and not refused.
    return begun, store.known_event_ids(Log.TASKS, {each.cause.event_id(0) for each in requests})


def decide(told: Told) -> Decided:
    """The fact about a run that a message tells; there is no rule but the slot it has to fall in."""
    if isinstance(told.data, TaskRequestedData):
        return Decided(_requested(told, told.data), told.cause, attempt=1, told=told)
    data = msgspec.structs.asdict(told.data)
    payload = data.pop("payload", msgspec.UNSET)
    event = task_event(told.event.type, data.pop("run_id"), at=told.event.time, data=data)
    attempt = event.attempt if isinstance(event, AttemptEvent) else 1
    whole = None if payload is msgspec.UNSET else bytes(payload)
    return Decided(event, told.cause, attempt, told, whole)


def is_about_runs(message_type: str) -> bool:
    """Whether messages of that type are dealt with here."""
    return message_type == REQUEST or message_type in LIFECYCLE


def append(
    transaction: Transaction, decided: Sequence[Decided], *, is_compressed: bool = True
) -> list[tuple[Told, RunAlreadyRequested]]:
    """Append facts about runs, each on its own.

    A request whose key another run has is folded into that one. A repeat is nothing. An end after another end, or of an
    attempt that another one has superseded, is recorded as ignored; so is the wish for another attempt after an attempt
    has come to something else.

    Args:
        transaction: the one that takes the batch in.
        decided: the facts.
        is_compressed: whether values that are kept beside the log are.

    Returns:
        the requests that are refused, because their run was requested by another message.
    """
    decided, facts = sift(transaction, decided)
    transaction.append_each(Log.LICENSING, facts)
    stale = superseded(transaction, decided)
    standing = [each for each in decided if each.event_id not in stale]
    verdicts = transaction.append_each(Log.TASKS, [each.new() for each in standing])
    payloads = [
        Payload(each.event.originator_id.removeprefix(run_stream("")), each.payload)
        for each, verdict in zip(standing, verdicts, strict=True)
        if each.payload is not None and verdict.outcome != "taken"
    ]
    if payloads:
        keep(transaction.connection, payloads, is_compressed=is_compressed)
    late = [each for each, verdict in zip(standing, verdicts, strict=True) if verdict.outcome == "taken"]
    ignored = [each for each in decided if each.event_id in stale] + [each for each in late if _is_outcome(each)]
    transaction.append_each(Log.TASKS, [each.ignored() for each in ignored])
    return [
        (each.told, RunAlreadyRequested(each.event.originator_id))
        for each in late
        if each.told is not None and each.event.originator_version == SLOT_REQUESTED
    ]


def _is_outcome(decided: Decided) -> bool:
    return decided.is_end or isinstance(decided.event, TaskRetryScheduled | TaskWaitBegan)


def _requested(told: Told, data: TaskRequestedData) -> TaskRequested:
    run_id = data.run_id or requested_run_id(told.cause.id)
    return TaskRequested(
        originator_id=run_stream(run_id),
        originator_version=SLOT_REQUESTED,
        timestamp=told.event.time,
        task=data.task,
        args=data.args,
        kwargs=data.kwargs,
        tier=data.tier.value,
        priority=data.priority,
        license_id=data.license_id,
        expires_at=data.expires_at,
    )

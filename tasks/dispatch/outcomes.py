"""What dispatch records about a run, and what a run's stream already says about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from domain.aggregate import Event
from domain.cause import Cause
from domain.task_run import (
    SLOT_END,
    SLOT_PUBLISHED,
    AttemptEvent,
    TaskDeadLettered,
    TaskEvent,
    TaskFailure,
    TaskPublished,
    TaskRejected,
    TaskRequested,
    TaskRevoked,
    run_stream,
    task_event,
)
from infra.event_store import NewEvent, Recorded, Unreadable
from infra.event_store.revocations import Revocation
from tasks.dispatch.causes import cause_of

ACTOR: Final = "dispatch"
FIRST_ATTEMPT: Final = 1
"""The attempt that an end names which came before any worker made one."""
UNKNOWN_TASK: Final = "(unreadable)"
UNREADABLE_NAMESPACE: Final = UUID("0192d7a5-91c4-7e06-8b17-756e72656164")
"""Namespace (RFC 9562, name-based UUIDs) of causes whose own ids could not be read."""


def published(requested: Recorded, *, queue: str, priority: int, at: datetime) -> NewEvent:
    """The fact that the broker confirmed it holds the run."""
    return _new(TaskPublished, requested, at=at, queue=queue, priority=priority)


def rejected(requested: Recorded, *, reason: str, at: datetime) -> NewEvent:
    """The end of a run that no broker could carry."""
    asked = requested.event
    carried = asked.carried if isinstance(asked, TaskRequested) else None
    errbacks = tuple((carried.embed.get("errbacks") if carried else None) or ())
    said = {"error_type": "UnpublishableError", "error": reason, "errbacks": errbacks}
    return _new(TaskRejected, requested, at=at, attempt=FIRST_ATTEMPT, **said)


def revoked(requested: Recorded, revocation: Revocation, *, at: datetime) -> NewEvent:
    """The end of a run that was taken back before it was published."""
    end = _new(TaskRevoked, requested, at=at, attempt=FIRST_ATTEMPT, **revocation.said())
    return end._replace(metadata={**end.metadata, **caused_by(revocation)})


class WentWrong(NamedTuple):
    """How a run ended that did not end well, as its end says it or, of one that the broker made, as its reason."""

    error_type: str
    error: str
    traceback: str | None = None


def went_wrong(event: Event) -> WentWrong | None:
    """What a run's bad end came to; None: it is no such end."""
    if isinstance(event, TaskFailure):
        return WentWrong(event.error_type, event.error, event.traceback)
    if isinstance(event, TaskDeadLettered) and event.originator_version == SLOT_END:
        return WentWrong("DeadLettered", f"dead-lettered by the broker: {event.reason}")
    return None


def caused_by(revocation: Revocation) -> dict[str, str]:
    """What stands beside the end of a run that was revoked because of an event of its license or its story."""
    return {} if revocation.decided_by is None else {"causation_id": revocation.decided_by}


def unreadable(run: Unreadable, *, at: datetime) -> NewEvent:
    """The end of a run whose acceptance cannot be read: nobody can say what it was to do."""
    cause = Cause(id=uuid5(UNREADABLE_NAMESPACE, run.stream_id), at=at, actor=ACTOR)
    said = {"task": UNKNOWN_TASK, "attempt": FIRST_ATTEMPT, "error_type": "UnreadableEventError", "error": run.reason}
    end = task_event(TaskRejected.TOPIC, run.stream_id.removeprefix(run_stream("")), at=at, data=said)
    return NewEvent(end, cause.event_id(0), cause.metadata())


class Evidence(Enum):
    """What a run's stream says about its publication."""

    NONE = auto()
    """Nothing: it has to be published."""
    SEEN = auto()
    """A worker has had it, so it was published; only our record of that is missing."""
    SETTLED = auto()
    """It is recorded as published, or has ended without: nothing is left to do."""


def evidence(events: Iterable[Event]) -> Evidence:
    """What ``events``, all of one run's stream, say about its publication."""
    known = list(events)
    if any(event.originator_version == SLOT_PUBLISHED for event in known):
        return Evidence.SETTLED
    if any(isinstance(event, AttemptEvent) and event.worker for event in known):
        return Evidence.SEEN
    if any(event.originator_version == SLOT_END for event in known):
        return Evidence.SETTLED
    return Evidence.NONE


def _new(event_class: type[TaskEvent], requested: Recorded, *, at: datetime, **data: Any) -> NewEvent:
    event = requested.event
    task = event.task if isinstance(event, TaskEvent) else ""
    run_id = event.originator_id.removeprefix(run_stream(""))
    made = task_event(event_class.TOPIC, run_id, at=at, data={"task": task, **data})
    return NewEvent(made, uuid5(requested.event_id, event_class.TOPIC), cause_of(requested, actor=ACTOR).metadata())

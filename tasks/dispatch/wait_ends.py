"""How waits end: the facts that dispatch appends, each derived from the wait and what ended it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import uuid5

from domain.task_run import TaskEvent, TaskRevocationRequested, TaskRevoked, task_event
from domain.wait import AwaitedEvent, TaskWaitSatisfied, TaskWaitTimedOut, WaitEnd
from infra.event_store import Log, NewEvent, Recorded
from infra.event_store.revocations import Revocation
from tasks.dispatch.causes import cause_of
from tasks.dispatch.open_waits import OpenWait
from tasks.dispatch.outcomes import caused_by
from tasks.dispatch.subject import run_id_of

ACTOR: Final = "dispatch"


def at_its_time(wait: OpenWait, now: datetime) -> NewEvent:
    """Its time has come: what was waited for, or until when an event might come."""
    until = wait.event.terms.until
    if wait.event.terms.event is None or until is None:
        return _end(wait, TaskWaitSatisfied, at=now, cause=wait.began)
    return _end(wait, TaskWaitTimedOut, at=now, cause=wait.began, until=until)


def satisfied(wait: OpenWait, found: Recorded, in_log: Log, *, at: datetime) -> NewEvent:
    """An event came."""
    event = found.event
    came = AwaitedEvent(
        id=str(found.event_id),
        name=event.TOPIC,
        stream=event.originator_id,
        log=in_log.value,
        position=found.position,
        data=event.data(),
        occurred_at=event.timestamp,
        recorded_at=found.recorded_at,
    )
    return _end(wait, TaskWaitSatisfied, at=at, cause=found, came=came)


def _end(wait: OpenWait, end: type[WaitEnd], *, at: datetime, cause: Recorded, **data: object) -> NewEvent:
    began = wait.event
    told = {"task": began.task, "attempt": began.attempt, "queue": began.queue, **data}
    return _new(wait, end, told, cause=cause, at=at)


def asked(recorded: Recorded) -> Revocation:
    """What somebody wishes of the run, by its ``task.revocation_requested``."""
    event = recorded.event
    assert isinstance(event, TaskRevocationRequested)  # noqa: S101  the caller has looked
    actor = str(recorded.metadata.get("actor") or "somebody")
    return Revocation("", event.reason, actor, recorded.position, event.error_type, event.decided_by)


def revoked(wait: OpenWait, revocation: Revocation, *, at: datetime) -> NewEvent:
    """Somebody has taken the run back: it ends with the wait."""
    told = {"task": wait.event.task, "attempt": wait.event.attempt, "queue": wait.event.queue, **revocation.said()}
    end = _new(wait, TaskRevoked, told, cause=wait.began, at=at)
    return end._replace(metadata={**end.metadata, **caused_by(revocation)})


def _new(
    wait: OpenWait, kind: type[TaskEvent], data: Mapping[str, object], *, cause: Recorded, at: datetime
) -> NewEvent:
    event = task_event(kind.TOPIC, run_id_of(wait.stream), at=at, data=dict(data))
    metadata = cause_of(wait.began, actor=ACTOR).metadata() | {"causation_id": str(cause.event_id)}
    return NewEvent(event, uuid5(wait.began.event_id, kind.TOPIC), metadata)

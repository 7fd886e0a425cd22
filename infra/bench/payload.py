"""What the benchmarks of the store store: events as the platform has them, each of a story of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from domain.cause import Cause, derived_run_id, time_ordered_id
from domain.heartbeat import Heartbeat, HeartbeatsReceived
from domain.session import Session, session_stream
from domain.session_events import SessionStarted
from domain.session_rules import SessionRules
from domain.task_run import TaskEvent, TaskRequested, TaskStarted, task_event
from infra.event_store import NewEvent, caused

_TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def session_starts(count: int) -> list[NewEvent]:
    """Starts of sessions: some 330 bytes of JSON each, data and metadata together."""
    at = datetime.now(UTC)
    return [new for _ in range(count) for new in caused([_session_start(uuid4(), at)], _cause(at))]


def task_starts(count: int) -> list[NewEvent]:
    """Starts of attempts of as many runs, as workers tell them."""
    at = datetime.now(UTC)
    return [new for _ in range(count) for new in caused([_task_start(uuid4(), at)], _cause(at))]


def task_requests(count: int) -> list[NewEvent]:
    """Accepted runs of a task that does nothing, as many as ``count``."""
    at = datetime.now(UTC)
    return [new for _ in range(count) for new in caused([_task_request(uuid4(), at)], _cause(at))]


def heartbeats(count: int) -> list[NewEvent]:
    """One event with the heartbeats of ``count`` sessions with UUIDs for names, within a second of each other."""
    at = datetime.now(UTC)
    beats = [Heartbeat(str(uuid4()), at + timedelta(milliseconds=number * 1000 // count)) for number in range(count)]
    return caused([HeartbeatsReceived.of(beats, batch_id=_batch_id(at))], _cause(at))


def single_heartbeats(count: int) -> list[NewEvent]:
    """The same heartbeats as an event each."""
    at = datetime.now(UTC)
    return [
        new
        for _ in range(count)
        for new in caused([HeartbeatsReceived.of([Heartbeat(str(uuid4()), at)], batch_id=_batch_id(at))], _cause(at))
    ]


def _batch_id(at: datetime) -> UUID:
    return time_ordered_id(int(at.timestamp() * 1000), uuid4().bytes)


def _cause(at: datetime) -> Cause:
    return Cause(id=uuid4(), at=at, actor="/bench", traceparent=_TRACEPARENT, source_event_id=str(uuid4()))


def _session_start(cause: UUID, at: datetime) -> SessionStarted:
    session_id = str(derived_run_id(cause, "bench", at))
    return SessionStarted(
        originator_id=session_stream(session_id),
        originator_version=1,
        originator_topic=Session.TOPIC,
        timestamp=at,
        session_id=session_id,
        license_id="LIC-2026-000123",
        rules=SessionRules(patience_seconds=360.0),
        host="node-17.example",
    )


def _task_request(cause: UUID, at: datetime) -> TaskEvent:
    run_id = derived_run_id(cause, "bench", at)
    return task_event(TaskRequested.TOPIC, run_id, at=at, data={"task": "sample.nothing"})


def _task_start(cause: UUID, at: datetime) -> TaskEvent:
    said = {"task": "billing.charge", "attempt": 1, "queue": "tasks.normal", "worker": "normal@node-17"}
    said |= {"received_at": at, "priority": 5, "pid": 4711, "code_version": "1.0.0"}
    return task_event(TaskStarted.TOPIC, derived_run_id(cause, "bench", at), at=at, data=said)

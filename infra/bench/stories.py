"""Whole stories for a long log: runs from acceptance to end, so that a stream, and a story, is several rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from domain.cause import Cause, derived_run_id
from domain.task_run import TaskEvent, TaskPublished, TaskRequested, TaskStarted, TaskSucceeded, task_event
from infra.bench.raw import Source
from infra.event_store import Log, NewEvent, caused

EVENTS_OF_A_RUN: Final = 4


def runs(count: int) -> list[NewEvent]:
    """Up to ``count`` events of runs that went well, :data:`EVENTS_OF_A_RUN` of each; ids and story of one cause."""
    return [new for _ in range(count // EVENTS_OF_A_RUN) for new in _run()]


RUNS: Final = Source(Log.TASKS, runs)
"""Told to the log of tasks."""


def _run() -> list[NewEvent]:
    at = datetime.now(UTC)
    cause = Cause(id=uuid4(), at=at, actor="/bench", source_event_id=str(uuid4()))
    return caused(_told(cause, at), cause)


def _told(cause: Cause, at: datetime) -> Iterator[TaskEvent]:
    run_id = derived_run_id(cause.id, "bench", at)
    task = {"task": "billing.charge"}
    attempt = task | {"attempt": 1, "queue": "tasks.normal", "worker": "normal@node-17"}
    millisecond = timedelta(milliseconds=1)
    yield task_event(TaskRequested.TOPIC, run_id, at=at, data=task | {"kwargs": {"invoice": str(run_id)}})
    yield task_event(
        TaskPublished.TOPIC, run_id, at=at + millisecond, data=task | {"queue": "tasks.normal", "priority": 5}
    )
    yield task_event(
        TaskStarted.TOPIC, run_id, at=at + 2 * millisecond, data=attempt | {"pid": 4711, "code_version": "1.0.0"}
    )
    yield task_event(TaskSucceeded.TOPIC, run_id, at=at + 9 * millisecond, data=attempt | {"runtime_seconds": 0.007})

"""Asking for a run to be revoked, whoever asks."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from domain.cause import Cause
from domain.run import TaskRun, revocation_requested
from domain.task_run import TaskEvent, TaskRevocationRequested, run_stream
from infra.event_store import EventStore, Log, caused


class NothingRecordedError(LookupError):
    """Nothing is recorded of such a run; if a Celery client called it, its task has to be named."""


def ask_for_revocation(
    store: EventStore, run_id: str, *, reason: str, task: str | None, actor: str, at: datetime
) -> int:
    """Record that a run is to be taken back, wherever it is; the position of that.

    Args:
        store: the event store.
        run_id: the run.
        reason: why.
        task: name of its task, for a run of which nothing is recorded yet.
        actor: who asks.
        at: when, UTC.

    Raises:
        NothingRecordedError: there is no such run, and no ``task``.
        RevocationAlreadyRequested, RunAlreadyEnded: it cannot be, or need not.
        LostRaceError: somebody asks at the same moment.
    """
    event = _request(store, run_id, reason=reason, task=task, at=at)
    [position] = store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=at, actor=actor)))
    return position


def _request(store: EventStore, run_id: str, *, reason: str, task: str | None, at: datetime) -> TaskRevocationRequested:
    stream = run_stream(run_id)
    told = [event for event in store.load(Log.TASKS, [stream]).get(stream, []) if isinstance(event, TaskEvent)]
    if told:
        return TaskRun.fold(told).request_revocation(reason=reason, at=at)
    if task is None:
        raise NothingRecordedError(f"{run_id}: nothing is recorded of such a run")
    return revocation_requested(run_id, task=task, reason=reason, at=at)

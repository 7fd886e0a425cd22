"""Asking for a run, or a whole story, to be revoked, whoever asks."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from domain.cause import Cause
from domain.fan_in import fan_in_stream
from domain.run import TaskRun, revocation_requested
from domain.story import RunBelongsToStory, StoryRevocationAlreadyRequested, story_revocation_requested, story_stream
from domain.task_run import TaskEvent, TaskRevocationRequested, run_stream
from infra.event_store import EventStore, Log, LostRaceError, caused


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


def ask_for_revocation_of_story(
    store: EventStore, correlation_id: str, *, reason: str, actor: str, at: datetime
) -> int:
    """Record that no run of a story is to be executed, whenever it turns up; the position of that.

    Nothing need be recorded of the story: what a client has sent may wait where nobody has taken it from yet.

    Args:
        store: the event store.
        correlation_id: names the story.
        reason: why.
        actor: who asks.
        at: when, UTC.

    Raises:
        StoryRevocationAlreadyRequested: somebody has asked before.
        RunBelongsToStory: it is the id of a run, or of a chord's group, of another story.
        ValueError: no story can be called so; it is too long.
    """
    stream = story_stream(correlation_id)
    parts = (run_stream(correlation_id), fan_in_stream(correlation_id))
    told = store.load_recorded(Log.TASKS, [stream, *parts])
    if stream in told:
        raise StoryRevocationAlreadyRequested(stream)
    for part in parts:
        stories = {str(each.metadata.get("correlation_id")) for each in told.get(part, ())}
        if stories and correlation_id not in stories:
            raise RunBelongsToStory(part, correlation_id=min(stories))
    event = story_revocation_requested(correlation_id, reason=reason, at=at)
    cause = Cause(id=uuid4(), at=at, actor=actor, correlation_id=correlation_id)
    try:
        [position] = store.append(Log.TASKS, caused([event], cause))
    except LostRaceError as error:
        raise StoryRevocationAlreadyRequested(stream) from error
    return position


def _request(store: EventStore, run_id: str, *, reason: str, task: str | None, at: datetime) -> TaskRevocationRequested:
    stream = run_stream(run_id)
    told = [event for event in store.load(Log.TASKS, [stream]).get(stream, []) if isinstance(event, TaskEvent)]
    if told:
        return TaskRun.fold(told).request_revocation(reason=reason, at=at)
    if task is None:
        raise NothingRecordedError(f"{run_id}: nothing is recorded of such a run")
    return revocation_requested(run_id, task=task, reason=reason, at=at)

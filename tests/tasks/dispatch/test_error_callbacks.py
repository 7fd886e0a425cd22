"""Error callbacks that nobody who saw the failure has called are asked for, each end's once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from domain.kept_message import KeptMessage
from domain.run import RunState, TaskRun
from domain.task_run import TaskEvent, TaskRequested, task_event
from infra.event_store import CheckpointMovedError, Log, NewEvent
from tasks.dispatch.error_callbacks import ErrorCallbacksFollower
from tests.tasks.dispatch.world import World

ERRBACK = {"task": "desk.tell", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}


@pytest.fixture
def follower(world: World) -> ErrorCallbacksFollower:
    made = ErrorCallbacksFollower(world.store, clock=lambda: datetime.now(UTC), page_events=100)
    made.take_over()
    return made


def ended(world: World, name: str, **data: Any) -> str:
    """A run of a client's that ended so, in a story of its own."""
    run_id = str(uuid4())
    event = task_event(name, run_id, at=datetime.now(UTC), data={"task": "a.task", **data})
    world.store.append(Log.TASKS, [NewEvent(event, uuid4(), {"correlation_id": f"story-{run_id}"})])
    return run_id


def asked(world: World) -> list[tuple[dict[str, Any], str]]:
    """The calls that were asked for, and their stories."""
    page = world.store.read(Log.TASKS, after=0, limit=100, names=(TaskRequested.TOPIC,))
    calls = [each for each in page.events if isinstance(each.event, TaskRequested)]
    assert {each.event.task for each in calls} <= {"call_error_callbacks"}
    return [(each.event.kwargs, each.metadata["correlation_id"]) for each in calls]


def failure(name: str, **data: Any) -> dict[str, Any]:
    return {"name": name, "attempt": 1, "error_type": "Boom", "error": "no", "queue": "tasks.low", **data}


def test_those_that_an_end_tells_of_are_asked_for_once_in_its_story(
    world: World, follower: ErrorCallbacksFollower
) -> None:
    run_id = ended(world, **failure("task.lost", errbacks=[ERRBACK]))
    assert follower.step()
    following = ErrorCallbacksFollower(world.store, clock=lambda: datetime.now(UTC), page_events=100)
    following.take_over()
    assert not following.step()
    # As if it had not got as far as to remember:
    follower.place.stored(0)
    with pytest.raises(CheckpointMovedError):
        follower.step()
    ((told, story),) = asked(world)
    assert (told["run_id"], told["task"], told["errbacks"]) == (run_id, "a.task", [ERRBACK])
    assert (told["error_type"], told["error"], story) == ("Boom", "no", f"story-{run_id}")


def test_those_of_a_message_that_the_broker_dead_lettered_are_found_in_it(
    world: World, follower: ErrorCallbacksFollower
) -> None:
    body = json.dumps([[], {}, {"callbacks": None, "errbacks": [ERRBACK], "chain": None, "chord": None}]).encode()
    message = KeptMessage.of(body, {}, limit_bytes=10_000)
    run_id = ended(world, "task.dead_lettered", reason="delivery_limit", queue="tasks.low", message=message)
    ended(world, "task.dead_lettered", reason="rejected", queue="tasks.low", message=message)  # that end tells itself
    assert follower.step()
    ((told, _),) = asked(world)
    assert (told["run_id"], told["errbacks"]) == (run_id, [ERRBACK])
    assert told["error"] == "dead-lettered by the broker: delivery_limit"


def test_nothing_is_asked_for_where_they_were_called_or_celery_calls_none(
    world: World, follower: ErrorCallbacksFollower
) -> None:
    run_id = ended(world, **failure("task.failed"))
    ended(world, **failure("task.revoked", errbacks=[ERRBACK]))
    assert follower.step()  # on to the next page at once, however far behind
    assert not follower.step()
    assert asked(world) == []
    events = [event for event in world.stream(run_id) if isinstance(event, TaskEvent)]
    assert TaskRun.fold(events).state is RunState.FAILED

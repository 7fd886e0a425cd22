"""What dispatch counts of fan-ins, and what it does with what their members have returned."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from domain.fan_in import FanInCompleted, FanInFailed
from domain.task_run import TaskFailed, TaskRequested
from infra.event_store import EventStore
from tasks.dispatch import settling
from tests.tasks.dispatch.declared import FanIn, waited_for
from tests.tasks.dispatch.world import World


def test_values_are_handed_on_in_order_whole_where_they_are_kept_beside_the_log(store: EventStore) -> None:
    fan_in = FanIn(store, members=3)
    fan_in.end(2, "null")
    fan_in.declare()
    fan_in.keep(1, b'"a long one"')
    fan_in.end(1, '"a lo')
    fan_in.look()
    fan_in.end(0, "1")
    fan_in.look()
    (requested,) = fan_in.body_story()
    assert isinstance(requested, TaskRequested)
    assert requested.args == ([1, "a long one", None],)


def test_values_that_are_too_long_together_fail_the_body(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "VALUES_LIMIT_BYTES", 1_000)
    fits, exceeds = FanIn(store, members=2), FanIn(store, members=2)
    for fan_in, length in ((fits, 400), (exceeds, 600)):
        fan_in.declare()
        for number in range(2):
            fan_in.end(number, f'"{"x" * length}"')
        fan_in.look()
    assert isinstance(fits.story()[-1], FanInCompleted)
    failed = exceeds.story()[-1]
    assert isinstance(failed, FanInFailed)
    assert failed.reason == "the members' values take more than 1000 bytes together"
    assert [type(each) for each in exceeds.body_story()] == [TaskFailed]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("task.lost", {"attempt": 3, "error_type": "WorkerLostError", "error": "killed"}, "WorkerLostError: killed"),
        ("task.dead_lettered", {"reason": "maxlen"}, "DeadLettered: dead-lettered by the broker: maxlen"),
    ],
)
def test_a_body_whose_sender_ends_badly_ends_with_it_but_for_what_has_begun(
    store: EventStore, name: str, data: dict[str, Any], said: str
) -> None:
    fan_in, begun, never = FanIn(store, members=1), str(uuid4()), str(uuid4())
    tasks = [{"task": "a.task", "args": [], "kwargs": {}, "options": {"task_id": run}} for run in (begun, never)]
    fan_in.declare({"task": "celery.group", "subtask_type": "group", "args": [], "kwargs": {"tasks": tasks}})
    fan_in.end(0, "1")
    fan_in.look()
    sender = fan_in.story()[-1]
    assert isinstance(sender, FanInCompleted)
    fan_in.tell(begun, "task.received", attempt=1)
    fan_in.tell(sender.run_id, name, task="continue_workflow", **data)
    fan_in.look()
    assert [event.name for event in fan_in.told(begun)] == ["task.received"]
    (failed,) = fan_in.told(never)
    assert isinstance(failed, TaskFailed)
    assert failed.error == f"it could not be sent: {said}"


def test_what_has_settled_is_waited_for_no_longer(world: World) -> None:
    done, failed, still_open = (FanIn(world.store, members=2) for _ in range(3))
    for fan_in in (done, failed, still_open):
        fan_in.declare()
        fan_in.end(0, "1" if fan_in is not failed else None)
        fan_in.look()
    done.end(1, "2")
    failed.end(1, "2")
    done.look()
    assert [each.story()[-1].name for each in (done, failed, still_open)] == [
        "fan_in.completed",
        "fan_in.failed",
        "fan_in.declared",
    ]
    assert waited_for(world.store) == {still_open.id}

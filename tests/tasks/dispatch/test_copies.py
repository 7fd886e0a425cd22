"""Raised copies: published once it is certain that nobody takes the older message any more."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.heartbeat import WatermarkPassed
from domain.run import TaskRun
from domain.task_run import TaskEvent, task_event
from domain.tier import Tier
from infra.broker.publisher import Publisher
from infra.event_store import Log, NewEvent
from tasks.dispatch import copies
from tasks.dispatch.copies import CopiesFollower
from tests.tasks.dispatch.world import World

HEARD = copies.HEARD_WITHIN


@pytest.fixture
def follower(world: World) -> CopiesFollower:
    """One for which no time passes between two steps but what it asks for."""
    publisher = Publisher(world.settings, role="test dispatch")
    world.publishers.append(publisher)
    made = CopiesFollower(world.store, publisher, monotonic=itertools.count(0, 60).__next__)
    made.take_over()
    return made


def pass_log_time(world: World, moment: datetime) -> None:
    """Say that everything sent before ``moment`` is stored."""
    marker = WatermarkPassed.at(moment, marker_id=uuid4())
    world.store.append(Log.HEARTBEATS, [NewEvent(marker, uuid4(), {})])


def told(run_id: str, name: str, **data: Any) -> TaskEvent:
    return task_event(f"task.{name}", run_id, at=datetime.now(UTC), data={"task": "a.task", **data})


def starving(world: World, **fields: Any) -> str:
    """A run that was published and raised; its first message is still in its queue."""
    run_id = world.accept(tier="low", priority=0, **fields)
    world.follower().step()
    events = [event for event in world.stream(run_id) if isinstance(event, TaskEvent)]
    world.record(TaskRun.fold(events).raise_priority(queue="tasks.low", to=2, at=datetime.now(UTC)))
    return run_id


def test_a_copy_is_published_with_the_raised_priority_once_the_log_has_caught_up(
    world: World, follower: CopiesFollower
) -> None:
    run_id = starving(world, kwargs={"n": 1}, license_id="l-1")
    follower.step()
    assert [message.priority for message in world.waiting_in(Tier.LOW)] == [0]
    pass_log_time(world, datetime.now(UTC) + HEARD - timedelta(seconds=5))
    follower.step()
    assert world.waiting_in(Tier.LOW) == []
    pass_log_time(world, datetime.now(UTC) + HEARD + timedelta(seconds=5))
    follower.step()
    (copy,) = world.waiting_in(Tier.LOW)
    assert (copy.run_id, copy.priority, copy.headers["ledgerq-copy"]) == (run_id, 2, 1)
    assert (copy.headers["ledgerq-license-id"], copy.headers["ledgerq-attempt"], copy.body[1]) == ("l-1", 1, {"n": 1})
    follower.step()
    assert world.waiting_in(Tier.LOW) == []


@pytest.mark.parametrize(
    "since",
    [
        ("started", {"attempt": 1, "worker": "w"}),
        ("succeeded", {"attempt": 1, "worker": "w"}),
        ("revoked", {"attempt": 1, "error_type": "Revoked", "error": ""}),
    ],
    ids=lambda since: since[0],
)
def test_no_copy_is_published_of_a_run_that_was_taken_up_or_ended(
    world: World, follower: CopiesFollower, since: tuple[str, dict[str, Any]]
) -> None:
    run_id = starving(world)
    world.waiting_in(Tier.LOW)
    world.record(told(run_id, since[0], **since[1]))
    pass_log_time(world, datetime.now(UTC) + HEARD + timedelta(seconds=5))
    follower.step()
    assert world.waiting_in(Tier.LOW) == []
    assert follower.place.position > 0


def test_a_copy_that_the_broker_does_not_take_is_tried_again(world: World, follower: CopiesFollower) -> None:
    run_id = starving(world)
    world.waiting_in(Tier.LOW)
    pass_log_time(world, datetime.now(UTC) + HEARD + timedelta(seconds=5))
    world.unbind(Tier.LOW)
    assert not follower.step()
    world.bind(Tier.LOW)
    assert follower.step()
    assert [message.run_id for message in world.waiting_in(Tier.LOW)] == [run_id]


def test_of_several_copies_only_those_are_tried_again_that_were_not_confirmed(
    world: World, follower: CopiesFollower
) -> None:
    runs = [starving(world), starving(world)]
    world.waiting_in(Tier.LOW)
    pass_log_time(world, datetime.now(UTC) + HEARD + timedelta(seconds=5))
    world.make_small(Tier.LOW)
    assert not follower.step()
    assert [message.run_id for message in world.waiting_in(Tier.LOW)] == runs[:1]
    assert follower.step()
    assert [message.run_id for message in world.waiting_in(Tier.LOW)] == runs[1:]


def test_a_run_that_is_only_held_is_raised_too(world: World, follower: CopiesFollower) -> None:
    run_id = starving(world)
    world.waiting_in(Tier.LOW)
    world.record(told(run_id, "received", attempt=1, worker="w"))
    pass_log_time(world, datetime.now(UTC) + HEARD + timedelta(seconds=5))
    assert follower.step()
    assert [message.run_id for message in world.waiting_in(Tier.LOW)] == [run_id]


def test_copies_for_other_reasons_are_others_to_publish(world: World, follower: CopiesFollower) -> None:
    run_id = world.accept(tier="low")
    world.record(told(run_id, "republished", copy=1, attempt=1, reason="missing"))
    pass_log_time(world, datetime.now(UTC) + HEARD + timedelta(seconds=5))
    follower.step()
    assert world.everything_waiting() == []


def test_whoever_takes_over_goes_on_where_the_last_one_stopped(world: World, follower: CopiesFollower) -> None:
    starving(world)
    world.waiting_in(Tier.LOW)
    pass_log_time(world, datetime.now(UTC) + HEARD + timedelta(seconds=5))
    assert follower.step()
    world.waiting_in(Tier.LOW)
    publisher = Publisher(world.settings, role="test dispatch")
    world.publishers.append(publisher)
    following = CopiesFollower(world.store, publisher)
    following.take_over()
    following.step()
    assert world.waiting_in(Tier.LOW) == []

"""A tier's full queue holds the tier's further runs in the log, and nothing is lost or repeated by it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from domain.aggregate import Event
from domain.backpressure import BackpressureBegan, BackpressureEnded, BackpressureEvent
from domain.tier import Tier
from infra.broker.errors import BrokerUnreachableError
from infra.event_store import Log
from tasks.dispatch.publishing import PublishingFollower
from tests.tasks.dispatch.world import Delivered, World
from tests.tasks.processes import Process
from tests.waiting import eventually

LIMIT = 10


def accept(world: World, runs: int, tier: Tier = Tier.LOW) -> list[str]:
    return world.accept_all([(uuid4(), "a.task", {"tier": tier.value}) for _ in range(runs)])


def until_quiet(follower: PublishingFollower) -> None:
    while follower.step():
        pass


def until(follower: PublishingFollower, condition: Callable[[], bool]) -> None:
    """Let the follower look again and again until something is so."""

    def is_so() -> bool:
        follower.step()
        return condition()

    eventually(is_so)


def facts(world: World) -> list[BackpressureEvent]:
    names = (BackpressureBegan.TOPIC, BackpressureEnded.TOPIC)
    found: list[Event] = [
        each.event for each in world.store.read(Log.LICENSING, after=0, limit=100, names=names).events
    ]
    return [event for event in found if isinstance(event, BackpressureEvent)]


def names(world: World) -> list[str]:
    return [fact.TOPIC.removeprefix("backpressure.") for fact in facts(world)]


def take(world: World, messages: int, tier: Tier = Tier.LOW) -> list[str]:
    """Take so many messages out of the tier's queue, as workers do."""
    taken = [world.channel.basic_get(tier.queue, auto_ack=True)[1] for _ in range(messages)]
    return [properties.headers["id"] for properties in taken]


@pytest.fixture
def follower(world: World) -> PublishingFollower:
    return world.follower(page_runs=5, limit_messages=LIMIT)


def test_a_full_queue_gets_nothing_more_and_the_log_says_so(world: World, follower: PublishingFollower) -> None:
    runs = accept(world, 30)
    until_quiet(follower)
    assert world.depth("tasks.low") == LIMIT
    assert world.published() == set(runs[:LIMIT])
    (began,) = facts(world)
    assert isinstance(began, BackpressureBegan)
    assert (began.tier, began.queue, began.ready_messages, began.limit_messages) == ("low", "tasks.low", LIMIT, LIMIT)
    assert began.backlog_runs == 20


def test_every_run_follows_once_as_room_is_made(world: World, follower: PublishingFollower) -> None:
    runs = accept(world, 30)
    taken: list[str] = []

    def all_taken() -> bool:
        until_quiet(follower)
        assert world.depth("tasks.low") <= LIMIT + 5 - 1
        taken.extend(message.run_id for message in world.waiting_in(Tier.LOW))
        return len(taken) >= len(runs)

    eventually(all_taken)
    until_quiet(follower)
    assert taken == runs
    assert names(world) == ["began", "ended"] * (len(names(world)) // 2)
    assert len(names(world)) >= 4


def test_a_queue_that_drains_as_fast_as_it_fills_is_never_held(world: World, follower: PublishingFollower) -> None:
    runs = accept(world, 4 * LIMIT)
    taken: list[str] = []
    while follower.step():
        taken.extend(message.run_id for message in world.waiting_in(Tier.LOW))
    assert (taken, names(world)) == (runs, [])


def test_the_other_tiers_go_on(world: World, follower: PublishingFollower) -> None:
    accept(world, 30)
    until_quiet(follower)
    critical = accept(world, 8, Tier.CRITICAL)
    until_quiet(follower)
    assert [message.run_id for message in world.waiting_in(Tier.CRITICAL)] == critical
    assert world.depth("tasks.low") == LIMIT


def test_a_little_room_is_not_enough_and_enough_room_ends_it(world: World, follower: PublishingFollower) -> None:
    accept(world, 30)
    until_quiet(follower)
    take(world, 1)
    eventually(lambda: world.depth("tasks.low") == LIMIT - 1)
    looked = Looking(world)
    follower = world.follower(limit_messages=LIMIT, depths=looked)
    until(follower, lambda: looked.looks == 2)
    assert (world.depth("tasks.low"), names(world)) == (9, ["began"])
    take(world, 1)
    until(follower, lambda: len(names(world)) > 1)
    ended = facts(world)[1]
    assert isinstance(ended, BackpressureEnded)
    assert (ended.ready_messages, ended.backlog_runs) == (8, 20)


class Looking:
    """Depths as the broker tells them; counts the questions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.looks = 0

    def ready(self, queue: str) -> int | None:
        self.looks += 1
        return self._world.depths.ready(queue)


def test_while_nothing_changes_a_queue_is_looked_at_once_a_second(world: World) -> None:
    looked = Looking(world)
    follower = world.follower(page_runs=1, limit_messages=40, depths=looked)
    accept(world, 50)
    began = time.monotonic()
    until_quiet(follower)
    held_after = looked.looks
    assert held_after <= time.monotonic() - began + 2  # once a second, at first and before it is held; not forty times
    steps = 0

    def three_more() -> bool:
        nonlocal steps
        steps += 1
        follower.step()
        return looked.looks >= held_after + 3

    eventually(three_more, every=0.001)
    assert steps > 50


def test_whoever_takes_over_holds_on_and_says_nothing_twice(world: World, follower: PublishingFollower) -> None:
    runs = accept(world, 30)
    until_quiet(follower)
    taken = take(world, 1)  # too little room to go on with, but the queue would not be found full
    eventually(lambda: world.depth("tasks.low") == LIMIT - 1)
    looked = Looking(world)
    successor = world.follower(page_runs=5, limit_messages=LIMIT, depths=looked)
    until(successor, lambda: looked.looks == 2)
    assert (world.depth("tasks.low"), names(world)) == (LIMIT - 1, ["began"])
    taken += take(world, LIMIT - 1)
    until(successor, lambda: names(world)[1:] == ["ended"])
    until(successor, lambda: names(world)[2:] == ["began"])
    assert taken + take(world, LIMIT) == runs[: 2 * LIMIT]


def test_what_others_publish_counts_and_one_place_can_be_held_again(world: World, follower: PublishingFollower) -> None:
    for _ in range(LIMIT):
        world.channel.basic_publish("tasks", "tasks.low", b"{}")
    eventually(lambda: world.depth("tasks.low") == LIMIT)
    (run,) = accept(world, 1)
    until_quiet(follower)
    assert world.names_in(run) == ["task.requested"]
    world.channel.queue_purge("tasks.low")

    def refilled() -> bool:
        """There is room for a moment, but no step in which to use it."""
        if follower._pressure.lets_go(follower.lanes[3]):
            for _ in range(LIMIT):
                world.channel.basic_publish("tasks", "tasks.low", b"{}")
            return True
        return False

    eventually(refilled)
    eventually(lambda: world.depth("tasks.low") == LIMIT)
    world.follower(limit_messages=LIMIT).step()
    assert names(world) == ["began", "ended", "began"]
    assert [fact.originator_version for fact in facts(world)] == [1, 2, 3]
    assert world.names_in(run) == ["task.requested"]


class Silent:
    """A broker that tells no depth."""

    def ready(self, queue: str) -> int | None:
        raise BrokerUnreachableError(queue)


class Blind:
    """A broker that knows no such queue."""

    def ready(self, queue: str) -> int | None:
        del queue


@pytest.mark.parametrize("depths", [Silent(), Blind()], ids=["away", "no such queue"])
def test_what_the_broker_does_not_tell_holds_nothing_up(world: World, depths: Silent | Blind) -> None:
    follower = world.follower(page_runs=5, limit_messages=LIMIT, depths=depths)
    runs = accept(world, 30)
    until_quiet(follower)
    assert world.published() == set(runs)
    assert names(world) == []


@pytest.fixture
def dispatching(world: World, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start() -> Process:
        log = tmp_path / f"dispatch-{len(started)}.log"
        changed = {"LEDGERQ_DISPATCH_BATCH_RUNS": "5", "LEDGERQ_TIER_READY_LIMIT_MESSAGES": str(LIMIT)}
        started.append(Process("dispatch", world.settings, log=log, **changed))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.mark.system
@pytest.mark.chaos
def test_killed_while_it_holds_runs_dispatch_loses_none(world: World, dispatching: Callable[[], Process]) -> None:
    runs = accept(world, 50)
    process = dispatching()
    eventually(lambda: names(world) == ["began"])
    process.kill()
    process = dispatching()
    eventually(lambda: process.leads)
    taken: list[Delivered] = []

    def all_taken() -> bool:
        nonlocal process
        before = len(taken)
        taken.extend(world.waiting_in(Tier.LOW))
        if before < len(runs) // 2 <= len(taken):
            process.kill()
            process = dispatching()
        return {message.run_id for message in taken} == set(runs)

    eventually(all_taken, seconds=60)
    eventually(lambda: world.published() == set(runs))
    assert max(Counter(message.run_id for message in taken).values()) <= 2
    told = names(world)
    assert told[:2] == ["began", "ended"]
    assert all(one != other for one, other in pairwise(told))

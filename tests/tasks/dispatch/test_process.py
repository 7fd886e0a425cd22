"""The dispatch process is killed at any moment, and every accepted run still reaches the broker."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from domain.tier import Tier
from infra.process_name import ProcessName
from infra.pulse import Pulse
from tasks.dispatch.process import Dispatcher
from tests.tasks.dispatch.world import World
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = pytest.mark.system

KILLS = 5


class Dispatchers:
    """Dispatch processes on one platform."""

    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._directory = directory
        self.started: list[Process] = []

    def start(self) -> Process:
        log = self._directory / f"dispatch-{len(self.started)}.log"
        process = Process("dispatch", self._world.settings, log=log, LEDGERQ_DISPATCH_BATCH_RUNS="20")
        self.started.append(process)
        return process


@pytest.fixture
def dispatchers(world: World, tmp_path: Path) -> Iterator[Dispatchers]:
    made = Dispatchers(world, tmp_path)
    yield made
    for process in made.started:
        process.kill()


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_killed_again_and_again_while_runs_are_accepted_dispatch_loses_none(
    world: World, dispatchers: Dispatchers
) -> None:
    chance = random.Random(7)
    tiers = [tier.value for tier in Tier]
    accepted: set[str] = set()

    for _ in range(KILLS):
        process = dispatchers.start()
        enough = world.count_published() + chance.randint(1, 200)

        def far_enough(enough: int = enough) -> bool:
            runs = [(uuid4(), "a.task", {"tier": chance.choice(tiers)}) for _ in range(chance.randint(1, 30))]
            accepted.update(world.accept_all(runs))
            return world.count_published() >= enough

        eventually(far_enough, every=0.01)
        process.kill()

    dispatchers.start()
    eventually(lambda: world.published() == accepted, seconds=90)  # thousands, where processes are slow to start
    deliveries = Counter(message.run_id for message in world.everything_waiting())
    assert set(deliveries) == accepted
    assert max(deliveries.values()) <= 1 + KILLS


def test_of_two_dispatchers_one_works_and_the_other_takes_over_when_it_is_killed(
    world: World, dispatchers: Dispatchers
) -> None:
    both = [dispatchers.start(), dispatchers.start()]
    eventually(lambda: any(process.leads for process in both))
    leader, standby = sorted(both, key=lambda process: process.leads, reverse=True)
    first = world.accept()
    eventually(lambda: world.published() == {first})
    assert not standby.leads

    leader.kill()
    killed_at = time.monotonic()
    second = world.accept()
    eventually(lambda: world.published() == {first, second})
    assert time.monotonic() - killed_at < 5
    assert '"leading"' in standby.log
    assert Counter(message.run_id for message in world.everything_waiting()) == {first: 1, second: 1}


@pytest.mark.parametrize("lost", ["ledgerq leadership dispatch", "%dispatch"])
def test_a_leader_that_loses_its_session_gives_way_and_comes_back(
    world: World, dispatchers: Dispatchers, lost: str
) -> None:
    dispatcher = dispatchers.start()
    first = world.accept()
    eventually(lambda: world.published() == {first})
    world.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and application_name like %s",
        lost,
    )
    eventually(lambda: dispatcher.log.count('"leading"') == 2)
    second = world.accept()
    eventually(lambda: world.published() == {first, second})
    assert dispatcher.runs


class Held:
    """A leadership that nobody takes away."""

    asked = 0

    def still_held(self) -> bool:
        self.asked += 1
        return True


class UntilPublished:
    """A wish to stop once so many runs are recorded as published."""

    def __init__(self, world: World, runs: int) -> None:
        self._world, self._runs = world, runs

    def __bool__(self) -> bool:
        return self._world.count_published() >= self._runs

    def wait(self, _seconds: float) -> bool:
        return bool(self)


def test_the_leadership_is_asked_after_now_and_then_and_not_with_every_page(world: World) -> None:
    world.accept_all([(uuid4(), "a.task", {}) for _ in range(30)])
    settings = world.settings.model_copy(update={"dispatch_batch_runs": 1})
    leadership, began = Held(), time.monotonic()
    with Dispatcher(settings, UntilPublished(world, 30), Pulse(settings, ProcessName.DISPATCH)) as dispatcher:  # type: ignore[arg-type]
        dispatcher.work(leadership)  # type: ignore[arg-type]
    assert leadership.asked <= time.monotonic() - began


def test_asked_to_stop_dispatch_stops(world: World, dispatchers: Dispatchers) -> None:
    dispatcher = dispatchers.start()
    run = world.accept()
    eventually(lambda: world.published() == {run})
    assert dispatcher.stop() == 0

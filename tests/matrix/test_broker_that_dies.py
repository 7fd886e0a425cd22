"""What a broker does when it dies, restarts or loses patience: one test for each row of docs/failures.md."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from domain.tier import Tier
from infra.local.rabbitmq import RabbitMQNode
from tests.matrix.controlling import control
from tests.matrix.expecting import AGAIN, Why, expect
from tests.matrix.stage import SECONDS, STOCK, Sent, Stage, Worker
from tests.matrix.test_workers_that_die import until_it_runs
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.chaos, pytest.mark.timeout(300)]

QUEUED = 20
WAITING = 20
HELD_FOR = timedelta(seconds=8)


class Scene(NamedTuple):
    """Messages everywhere a message can be: in a worker's hands, in a tier's queue, in the delay ladder."""

    running: Sent
    queued: list[Sent]
    waiting: list[Sent]
    go: Path


@pytest.fixture
def worker(mortal: Stage) -> Iterator[Worker]:
    worker = mortal.worker(Tier.NORMAL)
    yield worker
    assert worker.lives, worker.log
    assert worker.stop() == 0


@pytest.fixture
def scene(mortal: Stage, worker: Worker, tmp_path: Path) -> Scene:
    del worker  # it takes what has to wait, and what runs
    go = tmp_path / "go"
    eta = (datetime.now(UTC) + HELD_FOR).isoformat()
    waiting = [mortal.publish("deadly.once", headers={"eta": eta}) for _ in range(WAITING)]
    for sent in () if STOCK else waiting:
        mortal.until(sent, "held")
    running = mortal.publish("deadly.wait", str(go))
    until_it_runs(mortal, running, 1)
    queued = [mortal.publish("deadly.once", tier=Tier.LOW) for _ in range(QUEUED)]
    return Scene(running, queued, waiting, go)


def test_broker_restarted(mortal: Stage, node: RabbitMQNode, worker: Worker, scene: Scene) -> None:
    node.stop()
    node.start(keep_data=True)
    for sent in all_of(mortal, worker, scene):
        expect(mortal, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)


def test_broker_killed(mortal: Stage, node: RabbitMQNode, worker: Worker, scene: Scene) -> None:
    node.kill()
    node.start(keep_data=True)
    for sent in all_of(mortal, worker, scene):
        # What recovers after a kill is marked as redelivered, even if it was never delivered: an attempt that nobody
        # began, which must not count: these have no second one. The run that was in a worker's hands is known there.
        again = mortal.until(sent, "succeeded").outcomes[:-1] if sent != scene.running else []
        assert again in ([], [AGAIN])
        why = Why(spent_by="redelivered")
        told = expect(mortal, sent, "succeeded", outcomes=[*again, "succeeded"], executions=1, is_dead=False, why=why)
        assert [attempt["is_spared"] for attempt in told.attempts] == [*(True for _ in again), False]


def all_of(mortal: Stage, worker: Worker, scene: Scene) -> list[Sent]:
    """Every message of the scene, with workers that take them."""
    worker.wait_ready(times=2)
    scene.go.touch()
    low = mortal.worker(Tier.LOW)
    everything = [scene.running, *scene.queued, *scene.waiting]
    if STOCK:
        time.sleep(15)
        sys.stdout.write(f"{[sent.executions for sent in everything]} {mortal.seen(scene.running)}\n")
    for sent in everything:
        mortal.until(sent, "succeeded")
    assert low.stop() == 0
    assert mortal.depth(Tier.LOW.queue) == 0
    return everything


def test_consumer_timeout(mortal: Stage, node: RabbitMQNode, tmp_path: Path) -> None:
    patience = "application:set_env(rabbit, consumer_timeout, 2000)"
    control(node, "eval", f"{patience}, application:set_env(rabbit, channel_tick_interval, 500).")
    worker = mortal.worker(Tier.HIGH)
    go = tmp_path / "go"
    sent = mortal.publish("deadly.wait", str(go), tier=Tier.HIGH)
    until_it_runs(mortal, sent, 1)
    worker.wait_ready(times=3)  # the broker took its channel twice
    eventually(lambda: broker_log(node).count("delivery acknowledgement on channel") > (not STOCK), seconds=SECONDS)
    go.touch()
    expect(mortal, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.lives
    assert worker.stop() == 0
    assert mortal.depth(Tier.HIGH.queue) == 0


def broker_log(node: RabbitMQNode) -> str:
    return "".join(path.read_text(errors="replace") for path in (node.directory / "log").glob("*.log"))

"""Every way we publish, while the broker blocks publishers or is gone: an error or a retry, never a loss."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest

from domain.tier import Tier
from infra.local.rabbitmq import RabbitMQNode
from tests.matrix.controlling import memory_alarm
from tests.matrix.expecting import expect
from tests.matrix.requesting import request
from tests.matrix.stage import ROOT, SECONDS, Stage
from tests.matrix.test_workers_that_die import until_it_runs
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.chaos, pytest.mark.timeout(300)]

PATIENCE_SECONDS = 2
UNSENT = "rejected messages did not reach ingest.dead"


@pytest.fixture(autouse=True)
def unblocked(mortal: Stage) -> Iterator[None]:
    """Nothing is left over for the next test."""
    yield
    for tier in Tier:
        mortal.purge(tier)


def client(stage: Stage, tier: Tier, marks: Path) -> tuple[list[str], float]:
    """What a client says that publishes twice, and how long its whole life was."""
    began = time.monotonic()
    ran = subprocess.run(
        (sys.executable, "-m", "tests.matrix.client", str(marks), tier.queue),
        cwd=ROOT,
        env={
            **os.environ,
            "LEDGERQ_BROKER_URL": stage.settings.broker_url.get_secret_value(),
            "LEDGERQ_PUBLISH_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines(), time.monotonic() - began


def test_a_client_is_told_that_an_alarm_blocks_its_task(mortal: Stage, node: RabbitMQNode, tmp_path: Path) -> None:
    with memory_alarm(node):
        said, seconds = client(mortal, Tier.HIGH, tmp_path / "marks")
    assert [line.partition(":")[0] for line in said[:2]] == ["PublishTimeoutError", "PublishTimeoutError"], said
    assert "an alarm makes it block publishers" in said[0]
    assert 2 * PATIENCE_SECONDS <= seconds < 10 * PATIENCE_SECONDS
    said, _ = client(mortal, Tier.HIGH, tmp_path / "marks")
    assert [line.partition(" ")[0] for line in said[:2]] == ["sent", "sent"], said


def test_a_client_is_told_that_the_broker_is_down(mortal: Stage, node: RabbitMQNode, tmp_path: Path) -> None:
    node.kill()
    try:
        said, seconds = client(mortal, Tier.HIGH, tmp_path / "marks")
    finally:
        node.start(keep_data=True)
    assert [line.partition(":")[0] for line in said[:2]] == ["OperationalError", "OperationalError"], said
    assert seconds < 20


def test_an_emitter_is_told_that_an_alarm_blocks_its_event(mortal: Stage, node: RabbitMQNode) -> None:
    with memory_alarm(node):
        began = time.monotonic()
        ran = subprocess.run(
            (sys.executable, "-m", "infra.cli", "task", "run", "deadly.succeed"),
            env={**os.environ, "LEDGERQ_BROKER_URL": mortal.settings.broker_url.get_secret_value()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert ran.returncode == 1
    assert "an alarm makes it block publishers" in ran.stderr
    assert time.monotonic() - began < 30


def test_dispatch_publishes_from_the_store_what_an_alarm_kept_back(mortal: Stage, node: RabbitMQNode) -> None:
    sent = request(mortal, Tier.HIGH)
    mortal.until(sent, "requested")
    with memory_alarm(node), dispatching(mortal) as dispatch:
        eventually(lambda: "an alarm makes it block publishers" in dispatch.log, seconds=SECONDS)
        assert mortal.until(sent, "requested")
    with dispatching(mortal):
        worker = mortal.worker(Tier.HIGH)
        expect(mortal, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0


def test_dispatch_publishes_from_the_store_what_a_dead_broker_kept_back(mortal: Stage, node: RabbitMQNode) -> None:
    sent = request(mortal, Tier.HIGH)
    mortal.until(sent, "requested")
    node.kill()
    with dispatching(mortal) as dispatch:
        try:
            eventually(lambda: "cannot be reached" in dispatch.log, seconds=SECONDS)
        finally:
            node.start(keep_data=True)
        worker = mortal.worker(Tier.HIGH)
        expect(mortal, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0


@contextmanager
def dispatching(stage: Stage) -> Iterator[Process]:
    """While dispatch runs."""
    stage.start("dispatch")
    yield stage.processes["dispatch"]
    stage.processes["dispatch"].kill()


def test_a_worker_records_after_an_alarm_what_it_did_meanwhile(
    mortal: Stage, node: RabbitMQNode, tmp_path: Path
) -> None:
    worker = mortal.worker(Tier.CRITICAL, concurrency=1)
    go = tmp_path / "go"
    sent = mortal.publish("deadly.wait", str(go), tier=Tier.CRITICAL)
    until_it_runs(mortal, sent, 1)
    with memory_alarm(node):
        go.touch()
        eventually(lambda: "the broker does not take what is recorded" in worker.log, seconds=SECONDS)
        told = mortal.look(sent)
        assert told is not None
        assert told.run["state"] == "running"
    expect(mortal, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert worker.stop() == 0
    assert mortal.depth(Tier.CRITICAL.queue) == 0


def test_ingest_keeps_what_it_refuses_until_the_dead_letter_is_confirmed(mortal: Stage, node: RabbitMQNode) -> None:
    mortal.processes["ingest"].kill()
    with pika.BlockingConnection(pika.URLParameters(mortal.settings.broker_url.get_secret_value())) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("events", "session.ended", b"no event at all", mandatory=True)
    with memory_alarm(node):
        mortal.start("ingest")
        eventually(lambda: UNSENT in mortal.processes["ingest"].log, seconds=SECONDS)
        assert mortal.depth("ingest.dead") == 0
    assert eventually(lambda: mortal.depth("ingest.dead"), seconds=SECONDS) >= 1
    assert mortal.depth("ingest") == 0

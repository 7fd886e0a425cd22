"""What a task publishes itself, and the links of a chain: an error of the run that published it, never a loss."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.tier import Tier
from tests.matrix import deadly_tasks
from tests.matrix.expecting import AGAIN, Why, expect
from tests.matrix.stage import SECONDS, Stage, Worker
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

UNROUTABLE = {"exchange": "tasks", "routing_key": "tasks.nowhere"}


@pytest.fixture(scope="module", autouse=True)
def worker(stage: Stage) -> Iterator[Worker]:
    worker = stage.worker(Tier.NORMAL)
    yield worker
    assert worker.stop() == 0


def test_a_task_sends_another(stage: Stage) -> None:
    sent = stage.publish("deadly.send", Tier.NORMAL.queue)
    expect(stage, sent, "succeeded", outcomes=["succeeded"], executions=1, is_dead=False)
    assert eventually(Path(f"{sent.marks}.sent").exists, seconds=SECONDS)


def test_a_task_that_reaches_no_queue_is_an_error_in_the_task_that_sends_it(stage: Stage) -> None:
    sent = stage.publish("deadly.send", "tasks.nowhere")
    expect(stage, sent, "failed", outcomes=["failed"], executions=1, why=Why("OperationalError"))


def test_a_link_of_a_chain_follows(stage: Stage, tmp_path: Path) -> None:
    link = deadly_tasks.succeed.si(str(tmp_path / "next"))
    sent = stage.publish("deadly.succeed", body=chained(stage, link))
    stage.until(sent, "succeeded")
    assert eventually((tmp_path / "next").exists, seconds=SECONDS)


def test_a_link_that_reaches_no_queue_is_an_error_of_the_run_before_it(stage: Stage, tmp_path: Path) -> None:
    link = deadly_tasks.succeed.si(str(tmp_path / "next")).set(**UNROUTABLE)
    sent = stage.publish("deadly.succeed", body=chained(stage, link))
    why = Why("OperationalError", spent_by="exception")
    expect(stage, sent, "failed", outcomes=[AGAIN, AGAIN, "failed"], executions=0, why=why)


def chained(stage: Stage, link: object) -> bytes:
    return json.dumps([[str(stage.directory / "first")], {}, {"chain": [link]}]).encode()

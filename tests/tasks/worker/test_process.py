"""What becomes of runs when their worker is killed, cut off or told to stop."""

from pathlib import Path
from typing import NamedTuple

import pytest

from domain.tier import Tier
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.HIGH


class Waiting(NamedTuple):
    """A run that has started and waits for ``go``; ``marks`` has a letter per execution."""

    run: str
    marks: Path
    go: Path


@pytest.fixture
def worker(lab: Lab) -> WorkerProcess:
    return lab.worker(TIER)


@pytest.fixture
def waiting(lab: Lab, worker: WorkerProcess, tmp_path: Path) -> Waiting:  # noqa: ARG001
    """A run in the worker's hand."""
    return begin(lab, tmp_path)


def begin(lab: Lab, directory: Path, *, attempt: int = 1) -> Waiting:
    marks, go = directory / "marks", directory / "go"
    run = lab.publish("lab.wait_for", str(marks), str(go), tier=TIER, headers={"ledgerq-attempt": attempt})
    lab.ear.until(run, f"task.started {attempt}")
    eventually(marks.exists)
    return Waiting(run, marks, go)


def test_a_run_whose_worker_is_killed_is_tried_again_and_the_death_spends_an_attempt(
    lab: Lab, worker: WorkerProcess, waiting: Waiting
) -> None:
    worker.kill()
    following = lab.worker(TIER)
    assert lab.ear.until(waiting.run, "task.started 2") == [
        "task.started 1",
        "task.retry_scheduled 1",
        "task.started 2",
    ]
    assert lab.ear.event(waiting.run, "task.retry_scheduled 1").data["spent_by"] == "redelivered"
    waiting.go.touch()
    lab.ear.until(waiting.run, "task.succeeded 2")
    assert waiting.marks.read_text() == "xx"
    assert following.stop() == 0
    assert lab.depth(TIER.queue) == 0


def test_a_run_whose_worker_is_killed_in_its_last_attempt_is_lost(
    lab: Lab, worker: WorkerProcess, tmp_path: Path
) -> None:
    last = begin(lab, tmp_path, attempt=3)
    worker.kill()
    following = lab.worker(TIER)
    assert lab.ear.until(last.run, "task.lost 3") == ["task.started 3", "task.lost 3"]
    assert lab.ear.dead_letter(last.run)
    assert following.stop() == 0
    assert last.marks.read_text() == "x"


def test_a_run_finds_its_message_again_after_the_connection_was_lost(
    lab: Lab, worker: WorkerProcess, waiting: Waiting
) -> None:
    assert eventually(lambda: lab.close_connections_of(worker) >= 2, seconds=15)
    worker.wait_ready(times=2)
    waiting.go.touch()
    assert lab.ear.until(waiting.run, "task.succeeded 1") == ["task.started 1", "task.succeeded 1"]
    assert worker.stop() == 0
    assert lab.depth(TIER.queue) == 0
    assert waiting.marks.read_text() == "x"


def test_a_message_is_acknowledged_only_after_its_outcome_is_confirmed(lab: Lab, worker: WorkerProcess) -> None:
    worker.gate.touch()
    run = lab.publish("lab.add", 20, 22, tier=TIER)
    eventually(lambda: '"message": "task.succeeded"' in worker.log.read_text())
    worker.kill()
    assert lab.ear.story(run) == []
    assert eventually(lambda: lab.depth(TIER.queue) == 1)
    following = lab.worker(TIER)
    assert lab.ear.until(run, "task.succeeded 2") == ["task.retry_scheduled 1", "task.started 2", "task.succeeded 2"]
    assert following.stop() == 0


def test_a_worker_told_to_stop_finishes_what_runs_and_has_it_recorded(
    lab: Lab, worker: WorkerProcess, waiting: Waiting
) -> None:
    worker.gate.touch()
    worker.process.terminate()
    eventually(lambda: "told to stop" in worker.log.read_text())
    waiting.go.touch()
    eventually(lambda: "nothing runs any more" in worker.log.read_text())
    assert lab.ear.story(waiting.run) == ["task.started 1"]
    worker.gate.unlink()
    assert worker.stop() == 0
    assert lab.ear.until(waiting.run, "task.succeeded 1") == ["task.started 1", "task.succeeded 1"]
    assert lab.depth(TIER.queue) == 0


def test_a_worker_told_to_stop_hands_back_what_it_has_not_begun(lab: Lab) -> None:
    worker = lab.worker(TIER, concurrency=2)
    first, second = (lab.publish("lab.one_a_minute", tier=TIER) for _ in range(2))
    lab.ear.until(first, "task.succeeded 1")
    assert worker.stop() == 0
    with lab.channel() as channel:
        method, properties, _body = channel.basic_get(TIER.queue, auto_ack=True)
    assert properties.headers["id"] == second
    assert not method.redelivered
    assert lab.ear.story(second) == []

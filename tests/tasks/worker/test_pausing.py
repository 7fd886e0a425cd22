"""Queues and tasks that are paused, in every worker, until they are resumed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner

from domain.tier import Tier
from tasks.flow_commands import queue as queue_command
from tasks.task_commands import task as task_command
from tests.tasks.worker.hearing import until_heard
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.tasks.worker.test_ahead import flood
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.LOW


@pytest.fixture(scope="module", autouse=True)
def environment(stored_lab: Lab) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stored_lab.environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def workers(stored_lab: Lab) -> Iterator[list[WorkerProcess]]:
    """Two workers of one queue: what is asked, is asked of both."""
    workers = [stored_lab.worker(TIER), stored_lab.worker(TIER)]
    yield workers
    for worker in workers:
        assert worker.is_alive(), worker.log.read_text()
        assert worker.stop() == 0
    assert stored_lab.depth(TIER.queue) == 0


def ask(command: Command, *arguments: str) -> str:
    done = CliRunner().invoke(command, [*arguments, "--reason", "the bank is closed"])
    assert done.exit_code == 0, done.output
    return done.output


def consumers(lab: Lab) -> int:
    """How many consumers the broker has of the queue."""
    with lab.channel() as channel:
        return int(channel.queue_declare(TIER.queue, passive=True).method.consumer_count)


def test_a_paused_queue_is_consumed_by_nobody_until_it_is_resumed(
    stored_lab: Lab, workers: list[WorkerProcess], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    before = stored_lab.publish("lab.wait_for", tier=TIER, started=str(tmp_path / "started"), go=str(go))
    stored_lab.ear.until(before, "task.started 1")
    asked = time.monotonic()
    ask(queue_command, "pause", "low")
    eventually(lambda: consumers(stored_lab) == 0)
    assert time.monotonic() - asked < 5  # a second or so, on a machine that is not busy
    runs = [stored_lab.publish("lab.add", 1, 2, tier=TIER) for _ in range(20)]
    go.touch()
    stored_lab.ear.until(before, "task.succeeded 1")
    until_heard(stored_lab, len(workers))
    assert stored_lab.depth(TIER.queue) == len(runs)
    assert [stored_lab.ear.story(run) for run in runs] == [[] for _ in runs]
    ask(queue_command, "resume", TIER.queue)
    for run in runs:
        assert stored_lab.ear.until(run, "task.succeeded 1") == ["task.started 1", "task.succeeded 1"]


def test_a_pause_survives_a_lost_connection_and_a_new_worker_keeps_it(
    stored_lab: Lab, workers: list[WorkerProcess]
) -> None:
    ask(queue_command, "pause", TIER.queue)
    eventually(lambda: consumers(stored_lab) == 0)
    for worker in workers:
        eventually(lambda worker=worker: stored_lab.close_connections_of(worker) > 0)
        worker.wait_ready(times=2)
    newcomer = stored_lab.worker(TIER)
    run = stored_lab.publish("lab.add", 1, 2, tier=TIER)
    until_heard(stored_lab, len(workers) + 1)
    eventually(lambda: consumers(stored_lab) == 0)
    assert stored_lab.ear.story(run) == []
    ask(queue_command, "resume", TIER.queue)
    stored_lab.ear.until(run, "task.succeeded 1")
    eventually(lambda: consumers(stored_lab) == len(workers) + 1)
    assert newcomer.stop() == 0


@pytest.mark.usefixtures("workers")
def test_what_nobody_has_begun_goes_back_when_its_queue_is_paused_in_full_flow(stored_lab: Lab) -> None:
    """Tasks so short that the workers have taken messages ahead; each is begun once all the same."""
    runs = flood(stored_lab, 3_000, tier=TIER)
    eventually(lambda: started(stored_lab, runs) > 100)
    ask(queue_command, "pause", TIER.queue)

    def stands_still() -> bool:
        if stored_lab.depth(TIER.queue) < 1_000:
            runs.extend(flood(stored_lab, 1_000, tier=TIER))  # it must not be over before the workers have heard
        return consumers(stored_lab) == 0

    eventually(stands_still)
    until_heard(stored_lab, 2)
    eventually(lambda: started(stored_lab, runs) + stored_lab.depth(TIER.queue) == len(runs))
    begun = started(stored_lab, runs)
    assert begun < len(runs)
    ask(queue_command, "resume", TIER.queue)
    eventually(lambda: started(stored_lab, runs) == len(runs), seconds=60)
    for run in runs:
        assert stored_lab.ear.until(run, "task.succeeded 1") == ["task.started 1", "task.succeeded 1"]


def started(lab: Lab, runs: list[str]) -> int:
    return sum("task.started 1" in lab.ear.story(run) for run in runs)


@pytest.fixture
def held(stored_lab: Lab) -> Iterator[str]:
    """Gets a copy of everything that enters the ladder at the rung where held messages wait."""
    with stored_lab.channel() as channel:
        channel.queue_declare("held", durable=True)
        channel.queue_bind("held", "delay.03", "#")
        yield "held"
        channel.queue_delete("held")


@pytest.mark.usefixtures("workers")
def test_a_paused_task_is_begun_by_nobody_spends_no_attempt_and_holds_up_no_other(stored_lab: Lab, held: str) -> None:
    ask(task_command, "pause", "lab.add")
    until_heard(stored_lab, 2)
    runs = [stored_lab.publish("lab.add", 1, 2, tier=TIER) for _ in range(5)]
    other = stored_lab.publish("lab.shared", x=1, tier=TIER)
    for run in runs:
        stored_lab.ear.until(run, "task.received 1")
        told = stored_lab.ear.event(run, "task.received 1").data
        assert told["because"] == "paused"
    stored_lab.ear.until(other, "task.succeeded 1")
    eventually(lambda: stored_lab.depth(held) >= 2 * len(runs), seconds=30)  # they came back, and were held once more
    ask(task_command, "resume", "lab.add")
    for run in runs:
        story = stored_lab.ear.until(run, "task.succeeded 1", seconds=30)
        assert story == ["task.received 1", "task.started 1", "task.succeeded 1"]
        assert sum(heard.name == "task.received" for heard in stored_lab.ear.heard[run]) == 1

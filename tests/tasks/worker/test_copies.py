"""Of several messages of one attempt only the latest copy counts."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from domain.task_run import task_event
from domain.tier import Tier
from infra.event_store import EventStore, Log, NewEvent
from tests.tasks.worker.lab import Lab
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.LOW


@pytest.fixture
def log(stored_lab: Lab) -> EventStore:
    return EventStore(stored_lab.settings.database_url.get_secret_value(), connections=1)


def announce(log: EventStore, run: str, *, copy: int, attempt: int = 1) -> None:
    """Say that another copy of the run's message counts from now on."""
    data = {"task": "lab.add", "copy": copy, "attempt": attempt, "reason": "starving"}
    log.append(Log.TASKS, [NewEvent(task_event("task.republished", run, at=datetime.now(UTC), data=data), uuid4(), {})])


def test_an_older_copy_is_dropped_without_a_word_and_the_latest_is_run(stored_lab: Lab, log: EventStore) -> None:
    lab, run = stored_lab, str(uuid4())
    announce(log, run, copy=2)
    worker = lab.worker(TIER)
    lab.publish("lab.add", 1, 1, tier=TIER, headers={"id": run})
    lab.publish("lab.add", 1, 1, tier=TIER, headers={"id": run, "ledgerq-copy": 1})
    after = lab.publish("lab.add", 1, 1, tier=TIER)
    lab.ear.until(after, "task.succeeded 1")
    assert lab.ear.story(run) == []
    lab.publish("lab.add", 2, 3, tier=TIER, headers={"id": run, "ledgerq-copy": 2})
    assert lab.ear.until(run, "task.succeeded 1") == ["task.started 1", "task.succeeded 1"]
    assert lab.ear.event(run, "task.succeeded 1").data["result"] == "5"
    assert worker.stop() == 0
    assert lab.depth(TIER.queue) == 0


def test_a_worker_hears_of_a_copy_while_it_runs(stored_lab: Lab, log: EventStore) -> None:
    lab = stored_lab
    worker = lab.worker(TIER)
    announced = [str(uuid4())]
    announce(log, announced[0], copy=1)

    def dropped() -> bool:
        run = announced[-1]  # announced a second ago
        announced.append(str(uuid4()))
        announce(log, announced[-1], copy=1)
        lab.publish("lab.add", 1, 1, tier=TIER, headers={"id": run}, priority=2)
        after = lab.publish("lab.add", 1, 1, tier=TIER, priority=0)
        lab.ear.until(after, "task.succeeded 1")
        return lab.ear.story(run) == []

    eventually(dropped, seconds=30, every=1.0)
    assert worker.stop() == 0


def test_the_older_copy_is_dropped_also_when_the_later_one_has_long_ended_the_run(
    stored_lab: Lab, log: EventStore
) -> None:
    lab, run = stored_lab, str(uuid4())
    announce(log, run, copy=1)
    end = task_event("task.succeeded", run, at=datetime.now(UTC), data={"task": "lab.add", "attempt": 1})
    log.append(Log.TASKS, [NewEvent(end, uuid4(), {})])
    worker = lab.worker(TIER)
    lab.publish("lab.add", 1, 1, tier=TIER, headers={"id": run})
    after = lab.publish("lab.add", 1, 1, tier=TIER)
    lab.ear.until(after, "task.succeeded 1")
    assert lab.ear.story(run) == []
    assert worker.stop() == 0


def test_an_older_copy_that_had_begun_when_its_worker_was_killed_is_tried_again(
    stored_lab: Lab, log: EventStore, tmp_path: Path
) -> None:
    lab = stored_lab
    started, go = tmp_path / "started", tmp_path / "go"
    killed = lab.worker(TIER)
    run = lab.publish("lab.wait_for", str(started), str(go), tier=TIER)
    eventually(started.exists)
    begun = {"task": "lab.wait_for", "attempt": 1}
    log.append(Log.TASKS, [NewEvent(task_event("task.started", run, at=datetime.now(UTC), data=begun), uuid4(), {})])
    announce(log, run, copy=1)
    killed.kill()
    following = lab.worker(TIER)
    lab.ear.until(run, "task.started 2")
    go.touch()
    lab.ear.until(run, "task.succeeded 2")
    assert following.stop() == 0


def test_messages_of_later_attempts_are_not_touched(stored_lab: Lab, log: EventStore) -> None:
    lab, run = stored_lab, str(uuid4())
    announce(log, run, copy=3, attempt=1)
    worker = lab.worker(TIER)
    lab.publish("lab.add", 1, 1, tier=TIER, headers={"id": run, "ledgerq-attempt": 2})
    lab.ear.until(run, "task.succeeded 2")
    assert worker.stop() == 0

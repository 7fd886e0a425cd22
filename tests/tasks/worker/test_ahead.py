"""Messages that a worker has in hand before a child is free for them: what they gain, and what they must not cost."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from domain.tier import Tier
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.settings import Settings
from tasks.worker.pace import MOST
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.HIGH
MANY = 6_000


def flood(lab: Lab, count: int, *, priority: int = 1, tier: Tier = TIER) -> list[str]:
    """Publish runs that take next to no time; their ids."""
    runs = [str(uuid4()) for _ in range(count)]
    messages = [
        OutgoingMessage(
            exchange="tasks",
            routing_key=tier.queue,
            body=b"[[1, 2], {}, {}]",
            content_encoding="utf-8",
            headers={"id": run, "task": "lab.add", "root_id": run, "retries": 0, "lab-id": run},
            priority=priority,
        )
        for run in runs
    ]
    with Publisher(lab.settings, role="test") as publisher:
        publisher.publish(messages, timeout=timedelta(seconds=60))
    return runs


def ended(lab: Lab, runs: list[str]) -> int:
    heard = lab.ear.heard
    return sum(len(heard[run]) > 1 for run in runs)  # its start and its end; asked often, so not its story


def ahead(lab: Lab) -> int:
    """How many messages the broker hands out ahead of the children."""
    consumers: list[dict[str, Any]] = lab.api("GET", f"consumers/{quote(lab.vhost, safe='')}")
    return sum(c["prefetch_count"] for c in consumers if c["consumer_tag"].startswith("ahead:"))


def flood_until_ahead(lab: Lab) -> list[str]:
    """Publish short runs until the broker hands some out ahead; their ids, of which half a flood may still wait."""
    runs = flood(lab, MANY)

    def is_ahead() -> bool:
        if len(runs) - ended(lab, runs) < MANY // 2:
            runs.extend(flood(lab, MANY))  # a slow machine's worker may be through before anybody has looked
        return ahead(lab) > 0

    eventually(is_ahead, seconds=60)
    return runs


@pytest.fixture
def worker(lab: Lab) -> Iterator[WorkerProcess]:
    worker = lab.worker(TIER)
    yield worker
    worker.kill()


@pytest.mark.usefixtures("worker")
def test_messages_are_taken_ahead_while_runs_are_short_and_no_longer(lab: Lab) -> None:
    assert ahead(lab) == 0
    runs = flood_until_ahead(lab)
    eventually(lambda: ended(lab, runs) == len(runs), seconds=60)
    eventually(lambda: ahead(lab) == 0, seconds=20)


def test_where_nothing_may_wait_nothing_is_taken_ahead(lab: Lab) -> None:
    strict = lab.worker(TIER, LEDGERQ_WORKER_AHEAD_MS="0")
    runs = flood(lab, 500)
    seen = {ahead(lab) for _ in iter(lambda: ended(lab, runs) == len(runs), True)}
    assert seen == {0}
    assert strict.stop() == 0


@pytest.mark.usefixtures("worker")
def test_an_urgent_run_passes_those_that_were_taken_ahead_of_it(lab: Lab) -> None:
    runs = flood(lab, MANY)
    eventually(lambda: ended(lab, runs) > MOST, seconds=60)
    urgent = lab.publish("lab.add", 1, 1, tier=TIER, priority=8)
    lab.ear.until(urgent, "task.started 1")
    asked_at = lab.ear.event(urgent, "task.started 1").data["received_at"]
    began_at = lab.ear.event(urgent, "task.started 1").attributes["time"]
    eventually(lambda: ended(lab, runs) == MANY, seconds=60)
    starts = [lab.ear.event(run, "task.started 1").attributes["time"] for run in runs]
    assert sum(asked_at < start < began_at for start in starts) <= 2
    assert sum(start > began_at for start in starts) > 0, "it was published too late to show anything"


def test_behind_a_long_run_nothing_waits_in_the_worker(lab: Lab, worker: WorkerProcess, tmp_path: Path) -> None:
    runs = flood_until_ahead(lab)
    started, go = tmp_path / "started", tmp_path / "go"
    long = lab.publish("lab.wait_for", str(started), str(go), tier=TIER, priority=8)
    eventually(started.exists, seconds=60)
    assert ended(lab, runs) < len(runs), "the flood was over too early to show anything"
    eventually(lambda: lab.depth(TIER.queue) + ended(lab, runs) == len(runs), seconds=60)
    assert ahead(lab) == 0
    other = lab.worker(TIER)
    eventually(lambda: ended(lab, runs) == len(runs), seconds=60)
    assert all(lab.ear.story(run) == ["task.started 1", "task.succeeded 1"] for run in runs)
    go.touch()
    lab.ear.until(long, "task.succeeded 1")
    assert (other.stop(), worker.stop()) == (0, 0)


def test_what_nobody_had_begun_when_its_worker_was_killed_spends_no_attempt(
    lab: Lab, fresh_platform: Settings, tmp_path: Path
) -> None:
    database = {"LEDGERQ_DATABASE_URL": fresh_platform.database_url.get_secret_value()}
    started, go = tmp_path / "started", tmp_path / "go"
    killed = lab.worker(TIER, **database)
    lab.publish("lab.wait_for", str(started), str(go), tier=TIER)
    eventually(started.exists)
    killed.kill()  # the log knows nothing of its start: nobody stores what this virtual host's workers tell
    following = lab.worker(TIER, **database)
    story = eventually(
        lambda: [e for run in list(lab.ear.heard.values()) for e in run if e.name == "task.retry_scheduled"]
    )
    assert [(e.data["spent_by"], e.data["is_spared"]) for e in story] == [("redelivered", True)]
    go.touch()
    assert following.stop() == 0

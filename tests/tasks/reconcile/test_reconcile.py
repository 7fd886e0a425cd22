"""What is thrown away by hand is named, and comes back; what is merely on its way is not named."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import psycopg
import pytest

from domain.run import RunState
from domain.tier import Tier
from infra.broker.connection import connect
from infra.broker.publisher import Publisher
from tasks.reconcile.look import RUNGS
from tasks.reconcile.open_run import open_runs
from tasks.reconcile.repair import Repairer
from tests.tasks.reconcile.ground import Ground, named
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(400)


def test_a_purged_queue_is_named_run_by_run_and_published_again(ground: Ground) -> None:
    purged = ground.request(20, tier=Tier.NORMAL)
    waiting = ground.request(5, tier=Tier.HIGH)
    partly = ground.request(10, tier=Tier.LOW)
    assert ground.purge(Tier.NORMAL.queue, Tier.LOW.queue) == 30
    later = ground.request(5, tier=Tier.LOW)

    found = ground.reconcile(status=1)
    assert named(found) == purged
    assert {run["last_seen"] for run in found["nowhere"]} == {"in queue tasks.normal"}
    # Nobody consumes tasks.low, so counting says how many, and not which.
    assert found["shortfalls"] == [{"place": "tasks.low", "expected": 15, "held": 5}]

    found = ground.reconcile("--read", "--repair", status=0)
    assert named(found) == purged | partly
    assert set(found["repaired"]["published"]) == purged | partly
    assert (ground.depth(Tier.NORMAL.queue), ground.depth(Tier.LOW.queue)) == (20, 15)

    for tier in (Tier.HIGH, Tier.NORMAL, Tier.LOW):
        ground.worker(tier)
    assert ground.end_all(purged | waiting | partly | later) == {RunState.SUCCEEDED}
    assert all(ground.has(run, "task.republished") for run in purged | partly)
    assert not any(ground.has(run, "task.republished") for run in waiting | later)


def test_a_purged_ladder_and_a_run_of_a_dead_worker_are_named_and_come_back(ground: Ground, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    ground.worker(Tier.NORMAL, 2)
    dying = ground.worker(Tier.CRITICAL)
    living = ground.worker(Tier.HIGH)
    (executed,) = ground.request(1, tier=Tier.CRITICAL, task="reconcile.wait", gate=str(gate))
    (executing,) = ground.request(1, tier=Tier.HIGH, task="reconcile.wait", gate=str(gate))
    retrying = ground.request(3, tier=Tier.NORMAL, task="reconcile.later")
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    direct = ground.publish_directly("reconcile.quick", tier=Tier.NORMAL, eta=in_an_hour)
    for run, name in (
        *((run, "task.retry_scheduled") for run in retrying),
        (direct, "task.received"),
        (executed, "task.started"),
        (executing, "task.started"),
    ):
        eventually(lambda run=run, name=name: ground.has(run, name), seconds=60)
    ground.kill(dying)
    eventually(lambda: ground.depth(Tier.CRITICAL.queue) == 1, seconds=30)
    assert ground.purge(Tier.CRITICAL.queue) == 1
    eventually(lambda: sum(ground.depth(rung) for rung in RUNGS) == 4, seconds=30)
    assert ground.purge(*RUNGS) == 4

    ground.let_the_statistics_catch_up()  # where a consumer seems to have gone meanwhile, nothing can be said
    found = ground.reconcile("--repair", status=1)
    assert named(found) == {executed, direct, *retrying}
    assert found["open"]["at_worker"] == 1, found
    assert found["repaired"]["unknown"] == [direct]
    assert set(found["repaired"]["published"]) == {executed, *retrying}
    assert sum(ground.depth(rung) for rung in RUNGS) == 3  # not at once: when their time comes
    gate.touch()
    ground.worker(Tier.CRITICAL)
    assert ground.end_all({executed, executing}) == {RunState.SUCCEEDED}
    ended = ground.run(executed)
    assert ended is not None
    assert ended.attempts == 2
    assert living.poll() is None
    record_ends(ground, {direct, *retrying})


def test_a_run_that_was_not_missing_after_all_ends_once(ground: Ground, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    runs = ground.request(5, tier=Tier.NORMAL, marks=str(marks))
    url = ground.settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as connection:
        believed_missing = [run for run in open_runs(connection) if run.run_id in runs]
    with Publisher(ground.settings, role="test") as publisher:
        repairer = Repairer(ground.store, publisher, actor="test", clock=lambda: datetime.now(UTC))
        assert len(repairer.repair(believed_missing).published) == 5
    assert ground.depth(Tier.NORMAL.queue) == 10
    ground.worker(Tier.NORMAL)
    assert ground.end_all(runs) == {RunState.SUCCEEDED}
    eventually(lambda: ground.depth(Tier.NORMAL.queue) == 0, seconds=30)
    assert [ground.ends(run) for run in sorted(runs)] == [["task.succeeded"]] * 5
    assert 5 <= len(marks.read_text().splitlines()) <= 10


def test_under_load_only_what_was_thrown_away_is_named(ground: Ground) -> None:
    ground.worker(Tier.NORMAL, 2)
    with Asking(ground, Tier.NORMAL) as asking:
        eventually(lambda: ground.depth(Tier.NORMAL.queue) > 10, seconds=60)
        outranked = ground.request(5, tier=Tier.NORMAL, priority=0)
        for _ in range(2):
            found = ground.reconcile(status=0)
            assert found["nowhere"] == found["shortfalls"] == []
            assert found["open"]["expected"] == 5  # they wait in the queue, with the others always before them
        eventually(lambda: ground.depth(Tier.NORMAL.queue) > 15, seconds=60)
        purged = ground.purge(Tier.NORMAL.queue)
        eventually(lambda: ground.depth(Tier.NORMAL.queue) > 15, seconds=60)
        # The queue is never empty: what is missing is known by what overtook it; nothing overtakes the outranked.
        lost = named(ground.reconcile("--repair", status=0))
    assert len(lost) == purged - 5 > 10
    assert ground.end_all(asking.asked) == {RunState.SUCCEEDED}
    assert {run for run in asking.asked if ground.has(run, "task.republished")} == lost
    assert named(ground.reconcile("--repair", status=0)) == outranked
    assert ground.end_all(outranked) == {RunState.SUCCEEDED}


class Asking:
    """Asks for runs, on a thread of its own, so that some always wait."""

    def __init__(self, ground: Ground, tier: Tier) -> None:
        self.asked: set[str] = set()
        self._ground = ground
        self._tier = tier
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            if depth(self._ground, self._tier) < 30:
                self.asked.update(self._ground.request(10, tier=self._tier, duration_ms=150))
            self._over.wait(0.1)


def depth(ground: Ground, tier: Tier) -> int:
    """How many messages wait, asked over a connection of the asking thread's own."""
    with connect(ground.settings, role="test") as connection:
        return int(connection.channel().queue_declare(tier.queue, passive=True).method.message_count)


def record_ends(ground: Ground, runs: set[str]) -> None:
    """What is of no interest any more must not be named in the next test."""
    ground.purge(*RUNGS)
    with psycopg.connect(ground.settings.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute("set ledgerq.maintenance = 'on'")
        connection.execute(
            "delete from event_store.task_events where stream_id = any(%s)", ([f"task_run-{run}" for run in runs],)
        )

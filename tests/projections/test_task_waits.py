"""Where a run's time went. The events of these tests are made from what is expected, and not the other way round."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from domain.aggregate import Event
from infra.event_store import Log
from projections.catalog import PROJECTIONS
from projections.rebuild import rebuild
from tests.projections.histories import at, minted, requested, told
from tests.projections.world import World

PARTS = ("dispatch", "queue", "eta", "paused", "limited", "deferred", "prefetched", "running", "retry_wait", "waiting")
REASONS = {
    "eta": (None,),
    "paused": ("paused",),
    "limited": ("rate_limited", "concurrency_limited", "limiter_away"),
    "deferred": ("license_suspended", "license_term_over", "license_away"),
}
RETRY = {"spent_by": "exception", "error_type": "OSError", "error": "busy"}
MICROSECOND = 0.000_001
UNTOLD = """
    update read_model.task_attempts
    set delivered_at = null, eta_held_at = null, paused_at = null, limited_at = null, deferred_at = null
"""
WAITS = "select * from analytics.fct_task_waits"


def published(run: object, seconds: float) -> Event:
    return told(run, "published", seconds, queue="tasks.normal", priority=2)


@dataclass
class Lived:
    """A run whose time is spent as chance has it; its events follow from that.

    Attributes:
        chance: what decides.
        run: its id.
        skew: by how many seconds the clock of its workers is ahead.
        spent: how long it was where, in seconds.
        events: what is told of it.
    """

    chance: random.Random
    run: object
    skew: float = 0.0
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    events: list[Event] = field(default_factory=list)
    _now: float = 0.0

    def live(self) -> Lived:
        self.events.append(requested(self.run, 0))
        self._spend("dispatch")
        self.events.append(published(self.run, self._now))
        attempts = self.chance.randint(1, 4)
        for attempt in range(1, attempts + 1):
            self._attempt(attempt)
            if attempt < attempts:
                self._retry(attempt)
        self._tell("succeeded", attempts)
        return self

    @property
    def seconds(self) -> float:
        return self._now

    def _attempt(self, attempt: int) -> None:
        self._spend("queue")
        for part in self.chance.sample(sorted(REASONS), self.chance.choice((0, 0, 0, 1, 2))):
            self._tell("received", attempt, eta=at(self._now + 5), because=self.chance.choice(REASONS[part]))
            self._spend(part)
        delivered = at(self._now + self.skew)
        self._spend("prefetched")
        self._tell("started", attempt, received_at=delivered)
        self._spend("running")

    def _retry(self, attempt: int) -> None:
        if self.chance.random() < 0.3:
            self._wait(attempt)
            return
        delay = round(self.chance.uniform(0, 9), 3)
        self._tell("retry_scheduled", attempt, delay_seconds=delay, **RETRY)
        self._spend("retry_wait", delay)

    def _wait(self, attempt: int) -> None:
        message = {"body": "[[], {}, {}]", "size_bytes": 12}
        self._tell("wait_began", attempt, terms={"event": "license.renewed"}, message=message)
        self._spend("waiting")
        self._tell("wait_satisfied", attempt)

    def _spend(self, part: str, seconds: float | None = None) -> None:
        # Eighths of a second are what both binary fractions and microseconds have without loss.
        seconds = self.chance.randint(0, 80) / 8 if seconds is None else seconds
        self.spent[part] += seconds
        self._now += seconds

    def _tell(self, name: str, attempt: int, **data: Any) -> None:
        self.events.append(told(self.run, name, self._now + self.skew, attempt=attempt, **data))


def lived(world: World, *, seed: int, count: int = 60, skew: float = 0.0) -> dict[str, Lived]:
    chance = random.Random(seed)
    runs = [Lived(chance, minted("lived", seed, number), skew).live() for number in range(count)]
    events = [event for run in runs for event in run.events]
    chance.shuffle(events)
    world.record(Log.TASKS, *events)
    world.catch_up("task_runs", "task_attempts")
    return {str(run.run): run for run in runs}


def parts(row: dict[str, Any]) -> dict[str, float]:
    return {part: row[f"{part}_seconds"] for part in PARTS}


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_are_how_the_run_spent_its_time(world: World, seed: int) -> None:
    runs = lived(world, seed=seed)
    rows = world.rows(WAITS)
    assert len(rows) == len(runs)
    for row in rows:
        run = runs[row["run_id"]]
        expected = {part: pytest.approx(run.spent[part], abs=MICROSECOND) for part in PARTS}
        assert parts(row) == expected, row["run_id"]
        assert (row["moved_count"], row["most_moved_seconds"]) == (0, 0)


@pytest.mark.parametrize("skew", [-30.0, -0.4, 12.0])
def test_parts_of_differing_clocks_are_never_negative_and_add_up(world: World, skew: float) -> None:
    lived(world, seed=7, skew=skew)
    rows = world.rows(WAITS)
    for row in rows:
        whole = max(0.0, (row["ended_at"] - row["accepted_at"]).total_seconds())
        assert row["total_seconds"] == whole
        assert round(sum(parts(row).values()), 6) == pytest.approx(whole, abs=MICROSECOND / 2)
        assert min(parts(row).values()) >= 0
    assert any(row["moved_count"] for row in rows) == (skew < 0)
    assert max(row["most_moved_seconds"] for row in rows) <= max(0.0, -skew)


def test_a_worker_whose_clock_is_ahead_or_behind_still_tells_how_long_it_ran(world: World) -> None:
    runs = lived(world, seed=3, skew=20.0)
    for row in world.rows(WAITS):
        assert row["running_seconds"] == pytest.approx(runs[row["run_id"]].spent["running"], abs=MICROSECOND)


def test_an_end_before_the_acceptance_leaves_no_time_and_says_by_how_much(world: World) -> None:
    run = minted("run")
    world.record(Log.TASKS, requested(run, 10), told(run, "succeeded", 4, attempt=1))
    world.catch_up("task_runs", "task_attempts")
    row = world.row(WAITS)
    assert (row["total_seconds"], set(parts(row).values()), row["most_moved_seconds"]) == (0, {0.0}, 6)


def test_an_open_run_has_spent_the_time_up_to_now_where_it_is(world: World) -> None:
    run = minted("run")
    began = {"attempt": 1, "received_at": at(3)}
    world.record(Log.TASKS, requested(run, 0), published(run, 1), told(run, "started", 4, **began))
    world.catch_up("task_runs", "task_attempts")
    row = world.row("select w.*, now() as now from analytics.fct_task_waits w")
    assert not row["is_ended"]
    assert (row["dispatch_seconds"], row["queue_seconds"], row["prefetched_seconds"]) == (1, 2, 1)
    assert row["running_seconds"] == pytest.approx((row["now"] - at(4)).total_seconds(), abs=MICROSECOND)


def test_a_run_taken_back_while_it_waited_for_its_retry_waited_for_that(world: World) -> None:
    run = minted("run")
    facts = [requested(run, 0), published(run, 0), told(run, "started", 1, attempt=1, received_at=at(1))]
    facts.append(told(run, "retry_scheduled", 2, attempt=1, delay_seconds=60.0, **RETRY))
    facts.append(told(run, "revoked", 30, attempt=2, error_type="Revoked", error="ordered twice"))
    world.record(Log.TASKS, *facts)
    world.catch_up("task_runs", "task_attempts")
    row = world.row(WAITS)
    assert (row["running_seconds"], row["retry_wait_seconds"], row["total_seconds"]) == (1, 28, 30)


def test_a_retry_that_came_sooner_than_it_was_to_waited_until_it_came(world: World) -> None:
    run = minted("run")
    facts = [requested(run, 0), published(run, 0), told(run, "started", 1, attempt=1, received_at=at(1))]
    facts.append(told(run, "retry_scheduled", 2, attempt=1, delay_seconds=60.0, **RETRY))
    facts.append(told(run, "started", 10, attempt=2, received_at=at(9)))
    world.record(Log.TASKS, *facts, told(run, "succeeded", 12, attempt=2))
    world.catch_up("task_runs", "task_attempts")
    row = world.row(WAITS)
    assert (row["retry_wait_seconds"], row["prefetched_seconds"], row["running_seconds"]) == (7, 1, 3)
    assert row["moved_count"] == 0


def test_a_run_that_was_never_published_spent_its_time_in_dispatch(world: World) -> None:
    run = minted("run")
    world.record(
        Log.TASKS, requested(run, 0), told(run, "revoked", 8, attempt=1, error_type="Revoked", error="ordered twice")
    )
    world.catch_up("task_runs", "task_attempts")
    row = world.row(WAITS)
    assert (row["dispatch_seconds"], row["total_seconds"]) == (8, 8)


def test_a_message_that_was_delivered_before_its_confirm_was_read_left_dispatch_with_its_delivery(world: World) -> None:
    run = minted("run")
    began = told(run, "started", 3, attempt=1, received_at=at(1.5))
    world.record(Log.TASKS, requested(run, 0), published(run, 2), began, told(run, "succeeded", 4, attempt=1))
    world.catch_up("task_runs", "task_attempts")
    row = world.row(WAITS)
    assert (row["dispatch_seconds"], row["queue_seconds"], row["prefetched_seconds"], row["running_seconds"]) == (
        *(1.5, 0, 1.5, 1),
    )
    assert (row["moved_count"], row["most_moved_seconds"]) == (1, 0.5)


def test_a_run_that_a_worker_told_us_of_begins_with_that(world: World) -> None:
    run = minted("run")
    began = told(run, "started", 3, attempt=1, received_at=at(1))
    world.record(Log.TASKS, began, told(run, "succeeded", 5, attempt=1))
    world.catch_up("task_runs", "task_attempts")
    row = world.row(WAITS)
    assert (row["running_seconds"], row["total_seconds"], row["moved_count"]) == (2, 2, 0)


def test_stretches_follow_one_another_from_the_acceptance_to_the_end(world: World) -> None:
    runs = lived(world, seed=5, count=20)
    for run_id, run in runs.items():
        rows = world.rows(
            "select * from analytics.fct_task_stretches where run_id = %(run)s order by began_at, ended_at", run=run_id
        )
        for before, after in pairwise(rows):
            assert before["ended_at"] == after["began_at"]
        assert (rows[0]["began_at"], rows[-1]["ended_at"]) == (at(0), at(0) + timedelta(seconds=run.seconds))
        assert {row["attempt"] for row in rows} == set(range(1, max(row["attempt"] for row in rows) + 1))


def test_of_runs_from_before_the_upgrade_it_is_not_known_where_they_were_until_a_rebuild(world: World) -> None:
    lived(world, seed=9)
    waits = f"{WAITS} order by run_id"
    known = world.rows(waits)
    with world.connection.begin():
        world.psycopg.execute(UNTOLD.encode())
    for row, before in zip(world.rows(waits), known, strict=True):
        assert set(parts(row).values()) == {None}
        assert row["total_seconds"] == before["total_seconds"]
    stretches = world.rows("select * from analytics.fct_task_stretches order by run_id")
    assert [(row["stretch"], row["began_at"], row["ended_at"]) for row in stretches] == [
        ("not_known", row["accepted_at"], row["ended_at"]) for row in known
    ]
    rebuild(world.connection, PROJECTIONS["task_attempts"], store=world.store, batch_events=1000)
    assert world.rows(waits) == known


def test_of_an_attempt_that_was_held_before_the_upgrade_and_began_after_it_it_is_not_known_either(world: World) -> None:
    run = minted("run")
    held = told(run, "received", 2, attempt=1, eta=at(60), because="paused")
    world.record(Log.TASKS, requested(run, 0), published(run, 1), held)
    world.catch_up("task_runs", "task_attempts")
    with world.connection.begin():
        world.psycopg.execute(UNTOLD.encode())
    world.record(Log.TASKS, told(run, "started", 9, attempt=1, received_at=at(8)))
    world.catch_up("task_runs", "task_attempts")
    assert set(parts(world.row(WAITS)).values()) == {None}

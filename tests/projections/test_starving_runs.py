"""Which runs are suggested to be raised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from domain.aggregate import Event
from infra.event_store import Log
from projections.queries import starving_runs
from tests.projections.histories import NOON, minted
from tests.projections.test_priority_inversions import run
from tests.projections.world import World

HIGHEST = {"tasks.normal": 5, "tasks.low": 2}
NOW = (datetime.now(UTC) - NOON).total_seconds()


def suggested(world: World, asking: psycopg.Connection[Any], *runs: list[Event]) -> list[str]:
    world.record(Log.TASKS, *[event for each in runs for event in each])
    world.catch_up("task_runs")
    found = starving_runs(asking, below=HIGHEST, waited=timedelta(seconds=60), limit=10)
    return [each.run_id for each in found]


def test_runs_that_were_passed_are_suggested_the_oldest_first(world: World, asking: psycopg.Connection[Any]) -> None:
    waiting = [run(name, 1, published=NOW - age, started=None) for name, age in (("young", 100), ("old", 200))]
    passing = run("passing", 5, published=NOW - 90, started=NOW - 80)
    assert suggested(world, asking, *waiting, passing) == [str(minted("old")), str(minted("young"))]


@pytest.mark.parametrize(
    "passing",
    [
        run("passing", 5, published=NOW - 300, started=NOW - 250),
        run("passing", 1, published=NOW - 90, started=NOW - 80),
        run("passing", 2, published=NOW - 90, started=NOW - 80, queue="tasks.low"),
        run("passing", 5, published=NOW - 90, started=None),
    ],
    ids=["before", "no more urgent", "of another queue", "has not begun"],
)
def test_a_run_that_only_waits_is_not_suggested(
    world: World, asking: psycopg.Connection[Any], passing: list[Event]
) -> None:
    assert suggested(world, asking, run("waiting", 1, published=NOW - 200, started=None), passing) == []


@pytest.mark.parametrize(
    "waiting",
    [
        run("waiting", 1, published=NOW + 3_600, started=None),
        run("waiting", 5, published=NOW - 200, started=None),
        run("waiting", 1, published=NOW - 200, started=NOW - 10),
    ],
    ids=["not for long", "most urgent already", "begun"],
)
def test_a_run_is_not_suggested_that_need_not_be_raised(
    world: World, asking: psycopg.Connection[Any], waiting: list[Event]
) -> None:
    assert suggested(world, asking, waiting, run("passing", 5, published=NOW + 3_600, started=NOW + 3_700)) == []

from __future__ import annotations

from typing import Any

from domain.task_run import TaskRequested
from infra.event_store import Log
from projections import tables
from projections.rows import load, update
from projections.task_runs import RunRow, TaskRuns
from tests.projections.histories import minted, requested, told
from tests.projections.world import World

PLACES = "select run_id, ctid::text as place, xmin::text as written_by from read_model.task_runs order by run_id"


def runs(world: World) -> list[dict[str, Any]]:
    return world.rows("select run_id, state, queue from read_model.task_runs order by run_id")


def test_a_row_that_has_not_changed_is_not_written_again(world: World) -> None:
    changed, same = sorted([str(minted("a")), str(minted("b"))])
    world.record(Log.TASKS, requested(changed), requested(same))
    world.catch_up("task_runs")
    before = world.rows(PLACES)

    with world.connection.begin():
        known = load(world.connection, tables.TASK_RUNS, RunRow, [(changed,), (same,)])
        rows = {key: RunRow(*values) for key, values in known.items()}
        rows[changed,].worker = "w1"
        update(world.connection, tables.TASK_RUNS, RunRow, zip(known.values(), rows.values(), strict=True))

    after = world.rows(PLACES)
    assert [was == now for was, now in zip(before, after, strict=True)] == [False, True]
    assert world.rows("select run_id from read_model.task_runs where worker = 'w1'") == [{"run_id": changed}]


def test_what_no_row_has_changed_in_stays_as_it_is_in_the_table(world: World) -> None:
    run = str(minted("a"))
    world.record(Log.TASKS, requested(run))
    world.catch_up("task_runs")

    with world.connection.begin():
        known = load(world.connection, tables.TASK_RUNS, RunRow, [(run,)])
        row = RunRow(*known[run,])
        row.worker = "w1"
        world.psycopg.execute("update read_model.task_runs set queue = 'set meanwhile'")
        update(world.connection, tables.TASK_RUNS, RunRow, [(known[run,], row)])

    assert world.row("select queue, worker from read_model.task_runs") == {"queue": "set meanwhile", "worker": "w1"}


def test_a_row_whose_first_event_comes_late_keeps_what_came_before(world: World) -> None:
    early, late = sorted([str(minted("a")), str(minted("b"))])
    assert TaskRequested.TOPIC in TaskRuns.begun_by
    world.record(Log.TASKS, told(late, "started", 5, attempt=1, queue="tasks.high", worker="w1"))
    world.catch_up("task_runs")

    world.record(Log.TASKS, requested(early), requested(late))
    world.catch_up("task_runs")

    assert runs(world) == [
        {"run_id": early, "state": "requested", "queue": None},
        {"run_id": late, "state": "running", "queue": "tasks.high"},
    ]
    assert world.rows("select * from read_model.parked_events") == []

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from infra.event_store import Log
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.lag import StillBehindError, lag, wait_for
from projections.projector import Projector
from tests.projections.conftest import Run
from tests.projections.histories import minted, requested
from tests.projections.test_sessions import heartbeats, watermark
from tests.projections.world import World
from tests.waiting import eventually

Connection = psycopg.Connection[tuple[object, ...]]
INTERVAL = timedelta(seconds=10)


def found(asking: Connection, projection: str, log: Log) -> dict[str, Any]:
    rows = lag(asking, marker_interval=INTERVAL)
    (row,) = [row for row in rows if (row["projection"], row["log"]) == (projection, log.value)]
    return row


def recorded(world: World, *, seconds_ago: float) -> None:
    """Say of everything in the log of heartbeats that it was recorded so long ago."""
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        world.psycopg.execute(
            "update event_store.heartbeat_events set recorded_at = now() - %s", (timedelta(seconds=seconds_ago),)
        )


def test_lag_is_told_in_events_and_in_seconds(world: World, asking: Connection) -> None:
    world.record(Log.HEARTBEATS, heartbeats(1))
    world.catch_up("sessions")
    world.record(Log.HEARTBEATS, heartbeats(2), heartbeats(3))
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        world.psycopg.execute("update event_store.heartbeat_events set recorded_at = now() - interval '7 s'")
    behind = found(asking, "sessions", Log.HEARTBEATS)
    assert behind["events_behind"] == 2
    assert 7 <= behind["behind_seconds"] < 60
    world.catch_up("sessions")
    current = found(asking, "sessions", Log.HEARTBEATS)
    assert (current["events_behind"], current["behind_seconds"]) == (0, 0)


def test_a_source_that_stands_still_is_told_although_there_is_no_lag(world: World, asking: Connection) -> None:
    world.record(Log.HEARTBEATS, watermark(0))
    world.record(Log.TASKS, requested(minted("a")))
    world.catch_up()
    recorded(world, seconds_ago=31)
    for projection, log in (("sessions", Log.HEARTBEATS), ("task_runs", Log.TASKS)):
        row = found(asking, projection, log)
        assert (row["events_behind"], row["source"]) == (0, "stands still")
    recorded(world, seconds_ago=5)
    assert found(asking, "task_runs", Log.TASKS)["source"] == "moves"


def test_a_log_in_which_little_happens_is_no_source_that_stands_still(world: World, asking: Connection) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        world.psycopg.execute("update event_store.task_events set recorded_at = now() - interval '1 day'")
    world.record(Log.HEARTBEATS, watermark(0))
    assert found(asking, "task_runs", Log.TASKS)["source"] == "moves"


def test_a_platform_in_which_ingest_never_ran_has_a_source_that_stands_still(world: World, asking: Connection) -> None:
    assert found(asking, "task_runs", Log.TASKS)["source"] == "stands still"
    assert world.rows("select * from event_store.heartbeat_events") == []


def test_whoever_waits_for_a_position_reads_what_was_written_there(
    world: World, asking: Connection, settings: Settings
) -> None:
    projector = Projector(settings, [PROJECTIONS["task_runs"]])
    projector.start()
    try:
        for number in range(50):
            (position,) = world.record(Log.TASKS, requested(minted(number)))
            wait_for(asking, PROJECTIONS["task_runs"], Log.TASKS, position, within=timedelta(seconds=20))
            assert asking.execute("select count(*) from analytics.fct_task_runs").fetchone() == (number + 1,)
    finally:
        projector.stop()


def test_waiting_ends_as_soon_as_the_position_is_passed_and_not_before(world: World, asking: Connection) -> None:
    (position,) = world.record(Log.TASKS, requested(minted("a")))
    arrived = threading.Event()

    def wait() -> None:
        wait_for(asking, PROJECTIONS["task_runs"], Log.TASKS, position, within=timedelta(seconds=20))
        arrived.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not arrived.wait(0.3)
    world.catch_up("task_runs")
    eventually(arrived.is_set)
    waiting.join()


def test_waiting_in_vain_says_how_far_it_is(world: World, asking: Connection) -> None:
    (position,) = world.record(Log.TASKS, requested(minted("a")))
    with pytest.raises(StillBehindError, match=f"task_runs is at 0 of tasks and not yet at {position:,}"):
        wait_for(asking, PROJECTIONS["task_runs"], Log.TASKS, position, within=timedelta(0))
    with pytest.raises(ValueError, match="task_runs does not follow licensing; it follows tasks"):
        wait_for(asking, PROJECTIONS["task_runs"], Log.LICENSING, 1, within=timedelta(0))


def test_the_command_waits_for_a_position(world: World, run: Run) -> None:
    (position,) = world.record(Log.TASKS, requested(minted("a")))
    vain = run("projection", "lag", "--wait", f"tasks:{position}", "--within", "0")
    assert (vain.exit_code, "not yet at" in vain.stderr) == (1, True)
    world.catch_up()
    done = run("projection", "lag", "--wait", f"tasks:{position}")
    assert (done.exit_code, "the source stands still" in done.stderr) == (0, True)


@pytest.mark.parametrize("place", ["task:5", "tasks", "tasks:-1", "tasks:x"])
def test_a_place_that_is_none_is_refused_with_what_is_allowed(run: Run, place: str) -> None:
    done = run("projection", "lag", "--wait", place)
    assert done.exit_code == 2
    assert "the logs are licensing, tasks, heartbeats" in done.stderr


def test_waiting_for_a_log_that_a_projection_does_not_follow_is_refused(run: Run) -> None:
    done = run("projection", "lag", "--wait", "licensing:5", "--only", "task_runs")
    assert (done.exit_code, "it follows tasks" in done.stderr) == (2, True)
    alone = run("projection", "lag", "--only", "task_runs")
    assert (alone.exit_code, "there is no --wait" in alone.stderr) == (2, True)

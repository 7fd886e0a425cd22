from __future__ import annotations

import json

import pytest

from infra.database import Leadership
from infra.event_store import Log
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from tests.projections.conftest import Run
from tests.projections.histories import minted, requested, told
from tests.projections.world import World


def test_the_report_of_a_balanced_platform_ends_well(world: World, run: Run) -> None:
    world.record(Log.TASKS, requested(minted("a")), told(minted("a"), "succeeded", 3, attempt=1))
    world.catch_up()
    done = run("report")
    assert (done.exit_code, "accepted 1 = succeeded 1" in done.stdout) == (0, True)


def test_the_report_of_an_unbalanced_platform_does_not(world: World, run: Run) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    world.catch_up()
    done = run("report", "--json", "--wait", "0.3")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["conservation"]["open"] == 1


@pytest.mark.parametrize(
    "command",
    ["report", "projection lag", "projection dictionary", "projection rebuild sessions", "projection diff sessions"],
)
def test_without_a_database_there_is_one_line_and_a_status_of_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    done = run(*command.split())
    assert done.exit_code == 2
    assert "the database cannot answer: connection failed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_database_that_was_never_migrated_says_what_to_do(
    run: Run, servers: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", servers.database_url.get_secret_value())
    done = run("report")
    assert (done.exit_code, "ledgerq migrate" in done.stderr) == (2, True)


def test_the_list_names_every_projection(run: Run) -> None:
    done = run("projection", "list")
    assert done.exit_code == 0
    assert all(name in done.stdout for name in PROJECTIONS)


def test_lag_counts_what_a_projection_has_not_looked_at(world: World, run: Run) -> None:
    world.catch_up()
    world.record(Log.TASKS, requested(minted("a")), requested(minted("b")))
    world.catch_up("task_runs")
    done = run("projection", "lag", "--json")
    behind = {(row["projection"], row["log"]): row["events_behind"] for row in json.loads(done.stdout)}
    assert behind["task_runs", "tasks"] == 0
    assert behind["task_attempts", "tasks"] >= 2


def test_a_rebuild_says_what_it_did(world: World, run: Run) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    done = run("projection", "rebuild", "task_runs", "--in-place")
    assert done.exit_code == 0
    assert done.stdout.startswith("task_runs: rebuilt from 1 events in ")
    assert len(world.rows("select * from read_model.task_runs")) == 1


def test_a_projection_that_does_not_exist_is_refused_with_those_that_do(run: Run) -> None:
    done = run("projection", "rebuild", "elephants")
    assert done.exit_code == 2
    assert "task_runs" in done.stderr


def test_a_rebuild_beside_is_compared_switched_in_and_rolled_back(world: World, run: Run) -> None:
    world.record(Log.TASKS, requested(minted("a")))
    world.catch_up("task_runs")
    with world.connection.begin():
        world.psycopg.execute("update read_model.task_runs set state = 'lost'")
    filled = run("projection", "rebuild", "task_runs")
    assert (filled.exit_code, "the draft has passed" in filled.stdout) == (0, True)
    different = run("projection", "diff", "task_runs")
    assert different.exit_code == 1
    assert f"task_runs {minted('a')}: state: live lost, draft requested" in different.stdout
    refused = run("projection", "switch", "task_runs")
    assert (refused.exit_code, "1 rows differ and 0 were declared" in refused.stderr) == (1, True)
    switched = run("projection", "switch", "task_runs", "--expect-differences", "1", "--reason", "changed by hand")
    assert (switched.exit_code, "1 rows changed" in switched.stdout) == (0, True)
    assert world.row("select state from read_model.task_runs") == {"state": "requested"}
    again = run("projection", "rebuild", "task_runs")
    assert (again.exit_code, "rollback task_runs takes that back" in again.stderr) == (1, True)
    assert run("projection", "rollback", "task_runs").exit_code == 0
    assert world.row("select state from read_model.task_runs") == {"state": "lost"}
    assert run("projection", "rebuild", "task_runs", "--anew").exit_code == 0
    shown = run("projection", "diff", "task_runs", "--json")
    (compared, _) = json.loads(shown.stdout)
    assert (compared["differing_rows"], compared["shown"][0]["columns"]) == (
        1,
        [{"name": "state", "live": "lost", "draft": "requested"}],
    )
    assert run("projection", "rebuild", "task_runs", "--drop").exit_code == 0
    assert "has no draft" in run("projection", "diff", "task_runs").stderr


def test_differences_are_not_declared_without_a_reason(run: Run) -> None:
    done = run("projection", "switch", "task_runs", "--expect-differences", "1")
    assert (done.exit_code, "needs a --reason" in done.stderr) == (2, True)


def test_two_do_not_work_on_one_draft_at_the_same_time(run: Run, settings: Settings) -> None:
    with Leadership(settings, "draft.task_runs") as leadership:
        assert leadership.acquire()
        done = run("projection", "rebuild", "task_runs")
    assert (done.exit_code, "somebody else is working on the draft" in done.stderr) == (1, True)

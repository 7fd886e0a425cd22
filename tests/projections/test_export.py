from __future__ import annotations

import csv
import io
import secrets
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pyarrow.parquet
import pytest
from click.testing import CliRunner

from infra.cli import ledgerq
from infra.event_store import Log
from infra.settings import Settings
from projections.dictionary import columns
from tests.projections.conftest import Run
from tests.projections.histories import History, minted, requested, told
from tests.projections.world import World


@pytest.fixture
def told_world(world: World) -> World:
    for log, events in History(7, size=15).chunks():
        world.store.append(log, events)
    world.record(Log.TASKS, requested(minted("odd")))
    world.record(Log.TASKS, told(minted("odd"), "succeeded", 5, attempt=1, result='a "quoted",\nsecond line, naïve'))
    world.catch_up()
    return world


UP_TO_NOW = ("fct_task_stretches", "fct_task_waits", "fct_workflow_steps", "fct_workflows")
"""Views in which what is open goes on until the moment of asking."""


def rows_of(world: World, view: str, condition: str = "true") -> list[dict[str, Any]]:
    return world.rows(f"select * from analytics.{view} where {condition}")  # noqa: S608  our own names


def as_text(value: object) -> str:
    """As PostgreSQL writes it into CSV."""
    match value:
        case None:
            return ""
        case bool():
            return "t" if value else "f"
        case datetime():
            text = value.isoformat(sep=" ").removesuffix("+00:00")
            return (text.rstrip("0") if "." in text else text) + "+00"
        case float() if value == int(value):
            return str(int(value))
    return str(value)


def test_csv_holds_every_row_and_value(told_world: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    done = run("export", "fct_task_runs", "--out", str(file))
    assert (done.exit_code, "16 rows of fct_task_runs" in done.stderr) == (0, True), done.output
    found = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    expected = [{name: as_text(value) for name, value in row.items()} for row in rows_of(told_world, "fct_task_runs")]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert list(tmp_path.iterdir()) == [file]


def test_parquet_holds_every_row_and_value_of_every_view_with_its_type(
    told_world: World, run: Run, tmp_path: Path, asking: Any
) -> None:
    views = dict.fromkeys(column.view for column in columns(asking) if not column.view.startswith(("rpt_", "meta_")))
    filled = 0
    for view in views:
        file = tmp_path / f"{view}.parquet"
        condition = "is_ended" if view in UP_TO_NOW else "true"
        done = run("export", f"analytics.{view}", "--out", str(file), "--where", condition)
        assert done.exit_code == 0, done.output
        table = pyarrow.parquet.read_table(file)
        assert sorted(table.to_pylist(), key=str) == sorted(rows_of(told_world, view, condition), key=str), view
        filled += table.num_rows > 0
    assert filled > 8
    field = pyarrow.parquet.read_schema(tmp_path / "fct_task_runs.parquet").field("accepted_at")
    assert (str(field.type), field.metadata[b"comment"][:8]) == ("timestamp[us, tz=UTC]", b"When it ")


def test_rows_are_chosen_by_condition_and_by_moment(told_world: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    since, until = "2026-03-01T12:00:11", "2026-03-01T12:00:21"
    wish = ("--where", "state = 'failed' or state = 'dead_lettered' -- at last", "--since", since, "--until", until)
    done = run("export", "fct_task_runs", "--out", str(file), *wish, "--by", "first_started_at")
    condition = (
        f"state in ('failed', 'dead_lettered') and first_started_at >= '{since}Z' and first_started_at < '{until}Z'"
    )
    expected = len(rows_of(told_world, "fct_task_runs", condition))
    assert (done.exit_code, f"{expected} rows of fct_task_runs by first_started_at" in done.stderr) == (0, True)
    by_default = run("export", "fct_task_runs", "--out", "-", "--since", "2100-01-01")
    assert (by_default.exit_code, len(by_default.stdout.splitlines())) == (0, 1)
    assert "0 rows of fct_task_runs by accepted_at in -" in by_default.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fct_nothing",), "there is no view fct_nothing in schema analytics; there are dim_licenses, "),
        (("fct_sessions", "--where", "stat = 'x'"), 'column "stat" does not exist'),
        (("fct_sessions", "--where", "true) or (("), "the condition is none: syntax error"),
        (("fct_sessions", "--where", "true); delete from read_model.sessions; --"), "the condition is none: "),
        (("fct_sessions", "--where", "true); commit; delete from read_model.sessions; select (1"), "multiple commands"),
        (("fct_sessions", "--where", "host = 1"), "the condition is none: operator does not exist"),
        (("fct_sessions", "--by", "host"), "fct_sessions has no moment host; it has started_at, last_heartbeat_at"),
        (("rpt_conservation", "--since", "1d"), "rpt_conservation has no column with a moment"),
        (("fct_sessions", "--since", "noon"), "'noon' is no time; allowed are"),
    ],
    ids=["view", "column", "syntax", "two_statements", "ended_transaction", "type", "by", "no_moment", "time"],
)
def test_a_wish_that_cannot_be_fulfilled_is_told_what_can(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run("export", *arguments, "--out", str(tmp_path / "x.csv"))
    assert (done.exit_code != 0, said in done.stderr) == (True, True), done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("told_world")
def test_a_condition_that_fails_on_the_way_leaves_no_file(run: Run, tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        done = run("export", "fct_task_runs", "--where", "1 / (attempt_count - 1) > -9", "--out", str(tmp_path / name))
        assert (done.exit_code, "division by zero" in done.stderr) == (2, True), done.output
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("mine")
    done = run("export", "dim_licenses", "--out", str(file))
    assert (done.exit_code, "is there already; --force" in done.stderr, file.read_text()) == (1, True, "mine")
    assert run("export", "dim_licenses", "--out", str(file), "--force").exit_code == 0
    assert file.read_text().startswith("license_id,state,")
    nowhere = run("export", "dim_licenses", "--out", str(tmp_path / "no" / "x.csv"))
    assert (nowhere.exit_code, "No such file or directory" in nowhere.stderr) == (1, True)
    assert run("export", "dim_licenses", "--out", "-", "--format", "parquet").exit_code == 2


def test_without_pyarrow_one_is_told_how_to_get_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run("export", "dim_licenses", "--out", str(tmp_path / "x.parquet"))
    assert (done.exit_code, "pip install 'pyarrow>=26'" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
    assert run("export", "dim_licenses", "--out", str(tmp_path / "x.csv")).exit_code == 0


@pytest.mark.usefixtures("told_world")
def test_progress_is_told_while_it_takes_long(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.export_command._TOLD_EVERY_SECONDS", 0.0)
    done = run("export", "fct_task_runs", "--out", str(tmp_path / "x.csv"))
    assert "fct_task_runs: 16 of about " in done.stderr


@pytest.mark.usefixtures("told_world")
def test_who_reads_only_the_beginning_is_no_fault(settings: Settings) -> None:
    command = [sys.executable, "-m", "infra.cli", "export", "fct_task_runs", "--out", "-"]
    env = {"LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value()}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read().decode()
    assert "Traceback" not in told
    assert "Error" not in told


def test_what_the_asker_may_not_read_is_not_the_condition_s_fault(
    world: World, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = f"stranger_{secrets.token_hex(4)}"  # a role is the server's, and other tests run on it
    with world.connection.begin():
        world.psycopg.execute(f"create role {stranger} login password 'x'".encode())
    try:
        url = urlsplit(settings.database_url.get_secret_value())
        place = url.netloc.rpartition("@")[2]
        monkeypatch.setenv("LEDGERQ_DATABASE_URL", urlunsplit(url._replace(netloc=f"{stranger}:x@{place}")))
        done = CliRunner().invoke(ledgerq, ["export", "fct_sessions", "--out", str(tmp_path / "x.csv")])
        assert (done.exit_code, "permission denied" in done.stderr, "condition" in done.stderr) == (2, True, False)
    finally:
        with world.connection.begin():
            world.psycopg.execute(f"drop role {stranger}".encode())

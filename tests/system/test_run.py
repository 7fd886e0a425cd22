"""The main job, whole: the real command, the real processes, the real servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from infra.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def run(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of the sample fleet to its report."""
    state = tmp_path_factory.mktemp("run")
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", "run", "--exit"],
        env={**os.environ, **as_environment(servers), "LEDGERQ_STATE_DIR": str(state), "COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def as_environment(servers: Settings) -> dict[str, str]:
    management = servers.management_url
    return {
        "LEDGERQ_BROKER_URL": servers.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": servers.database_url.get_secret_value(),
        **({"LEDGERQ_MANAGEMENT_URL": management.get_secret_value()} if management else {}),
    }


def test_the_sample_fleet_balances(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stdout + run.stderr
    accepted = re.search(r"accepted (\d+) = ", run.stdout)
    sent = re.search(r"the fleet sent (\d+) tasks", run.stdout)
    assert accepted is not None
    assert sent is not None
    assert int(accepted[1]) >= int(sent[1]) > 130


def test_plain_lines_are_printed_where_there_is_no_terminal(run: subprocess.CompletedProcess[str]) -> None:
    assert "\x1b" not in run.stdout
    assert "\r" not in run.stdout


@pytest.mark.parametrize(
    "fate",
    ["succeeded", "failed", "timed_out", "lost", "rejected", "expired"],
)
def test_every_fate_of_a_task_is_in_the_report(run: subprocess.CompletedProcess[str], fate: str) -> None:
    assert re.search(rf"\b{fate.replace('_', '[_ ]')}\b", run.stdout), run.stdout


@pytest.mark.parametrize(
    "event",
    [
        *("session.started", "session.lapsed", "session.resumed", "session.ended", "session.heartbeats_received"),
        *("license.issued", "license.renewed", "license.suspended", "license.reinstated", "license.revoked"),
        *("license.expiring_soon", "license.expired", "license.notice_sent"),
        *("task.requested", "task.published", "task.started", "task.retry_scheduled", "task.dead_lettered"),
        *("schedule.declared", "schedule.fired", "ingest.message_dead_lettered", "ingest.watermark_passed"),
    ],
)
def test_every_kind_of_event_of_the_sample_is_in_the_report(run: subprocess.CompletedProcess[str], event: str) -> None:
    assert event in run.stdout, run.stdout


def test_nothing_is_left_behind(run: subprocess.CompletedProcess[str], servers: Settings) -> None:
    assert run.returncode == 0
    with psycopg.connect(servers.database_url.get_secret_value()) as connection:
        left = connection.execute("select datname from pg_database where datname like '%run%'").fetchall()
    assert left == []
    own = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _is_of_this_run(path)]
    assert own == []


def _is_of_this_run(process: Path) -> bool:
    try:
        return b"ledgerq" in (process / "cmdline").read_bytes() and b"/run" in (process / "environ").read_bytes()
    except OSError:
        return False

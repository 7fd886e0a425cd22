"""The main job, whole: the real command, the real processes, the real servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from infra.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


class Ran(NamedTuple):
    """One run of the sample fleet to its report."""

    status: int
    said: str
    complained: str
    state: Path


@pytest.fixture(scope="module")
def run(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    state = tmp_path_factory.mktemp("run")
    ran = subprocess.run(
        [sys.executable, "-m", "infra.cli", "run", "--exit"],
        env={**os.environ, **as_environment(servers), "LEDGERQ_STATE_DIR": str(state), "COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr, state)


def as_environment(servers: Settings) -> dict[str, str]:
    management = servers.management_url
    return {
        "LEDGERQ_BROKER_URL": servers.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": servers.database_url.get_secret_value(),
        **({"LEDGERQ_MANAGEMENT_URL": management.get_secret_value()} if management else {}),
    }


def test_the_sample_fleet_balances(run: Ran) -> None:
    assert run.status == 0, run.said + run.complained
    accepted = re.search(r"accepted (\d+) = ", run.said)
    sent = re.search(r"the fleet sent (\d+) tasks", run.said)
    assert accepted is not None
    assert sent is not None
    assert int(accepted[1]) >= int(sent[1]) > 130


def test_plain_lines_are_printed_where_there_is_no_terminal(run: Ran) -> None:
    assert "\x1b" not in run.said
    assert "\r" not in run.said


@pytest.mark.parametrize("fate", ["succeeded", "failed", "timed out", "lost", "rejected", "expired"])
def test_every_fate_of_a_task_is_in_the_conservation_line(run: Ran, fate: str) -> None:
    counted = re.search(rf"accepted .*\b{fate} (\d+)", run.said)
    assert counted is not None, run.said
    assert int(counted[1]) > 0


@pytest.mark.parametrize(
    "event",
    [
        *("session.started", "session.lapsed", "session.resumed", "session.ended", "session.heartbeats_received"),
        *("license.issued", "license.renewed", "license.suspended", "license.reinstated", "license.revoked"),
        *("license.expiring_soon", "license.expired", "license.notice_sent", "notice.sent", "notice.refused"),
        *("license.transferred", "license.policy_changed", "license.seats_changed"),
        *("license.entitlement_attached", "license.entitlement_detached"),
        *("task.requested", "task.published", "task.started", "task.retry_scheduled", "task.dead_lettered"),
        *("schedule.declared", "schedule.fired", "ingest.message_dead_lettered", "ingest.watermark_passed"),
    ],
)
def test_every_kind_of_event_of_the_sample_is_in_the_report(run: Ran, event: str) -> None:
    assert event in run.said, run.said


def test_nothing_is_left_behind(run: Ran, servers: Settings) -> None:
    with psycopg.connect(servers.database_url.get_secret_value()) as connection:
        left = connection.execute("select datname from pg_database where datname like 'ledgerq_run_%'").fetchall()
    assert left == []
    assert [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _is_of(run, path)] == []


def _is_of(run: Ran, process: Path) -> bool:
    """Whether the process was started by this run: every process of it has the run's state directory."""
    try:
        return f"LEDGERQ_STATE_DIR={run.state}".encode() in (process / "environ").read_bytes()
    except OSError:
        return False

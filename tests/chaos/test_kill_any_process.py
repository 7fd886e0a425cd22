"""Kill -9 of any process of ours while the sample fleet lives: everything accepted still ends in one recorded way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from infra.local.platform import Platform, platform
from infra.local.run import SAMPLE_PACE
from infra.settings import Settings
from tasks.sample.plan import SILENT

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

KILL_EVERY_SECONDS = 1.7
SEED = 7
RUNS_OF_THE_SAMPLE = """
    select count(*) from analytics.fct_task_runs
    where task like 'sample.%' or task in ('unknown', 'send_verification', 'send_password_reset', 'send_welcome')
"""
SESSIONS_LAPSED = "select count(*) from event_store.licensing_events where name = 'session.lapsed'"


def command(built: Platform, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.cli", *arguments],
        env=built.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def live_through(built: Platform, process: subprocess.Popen[str], *, kill: bool) -> list[str]:
    """Keep the platform up until ``process`` ends; kill each of its processes in turn meanwhile."""
    victims = [child.name for child in built.supervisor.children]
    random.Random(SEED).shuffle(victims)
    killed: list[str] = []
    due = time.monotonic() + 3
    while process.poll() is None:
        built.supervisor.look()
        if kill and time.monotonic() >= due:
            victim = next(c for c in built.supervisor.children if c.name == victims[len(killed) % len(victims)])
            if victim.pid is not None:
                os.kill(victim.pid, signal.SIGKILL)
                killed.append(victim.name)
            due += KILL_EVERY_SECONDS
        time.sleep(0.05)
    return killed


def test_every_process_killed_while_the_fleet_lives_and_it_still_balances(servers: Settings, tmp_path: Path) -> None:
    settings = servers.model_copy(update={"state_dir": tmp_path})
    said: list[str] = []
    with platform(settings, label="chaos", tell=said.append, pace=SAMPLE_PACE) as built:
        built.start()
        fleet = command(built, "fleet", "--seed", str(SEED))
        killed = live_through(built, fleet, kill=True)
        fleet_said = fleet.communicate()[0]
        assert fleet.returncode == 0, fleet_said
        assert set(killed) == {child.name for child in built.supervisor.children}, killed
        report = command(built, "report", "--wait", "120")
        live_through(built, report, kill=False)
        text = report.communicate()[0]
        assert report.returncode == 0, text
        sent = int(fleet_said.split("the fleet sent ")[1].split()[0])
        assert counted(built, RUNS_OF_THE_SAMPLE) == sent
        assert counted(built, SESSIONS_LAPSED) >= SILENT


def counted(built: Platform, query: LiteralString) -> int:
    with psycopg.connect(built.sandbox.database_url) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0

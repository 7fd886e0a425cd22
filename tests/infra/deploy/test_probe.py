"""The probe, as an orchestrator runs it."""

import os
import subprocess
import time
from pathlib import Path

import pytest

PROBE = Path(__file__).parents[3] / "infra/deploy/probe"


def probe(directory: Path, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LEDGERQ_PULSE_DIR": str(directory), **changed}
    return subprocess.run([PROBE, *arguments], env=environment, capture_output=True, text=True, check=False)


def touched(directory: Path, name: str, *, seconds_ago: float) -> None:
    (directory / name).touch()
    os.utime(directory / name, (time.time() - seconds_ago,) * 2)


@pytest.mark.parametrize(
    ("kind", "seconds_ago", "expected"),
    [("live", 0, 0), ("live", 50, 0), ("live", 70, 1), ("ready", 10, 0), ("ready", 20, 1)],
)
def test_the_age_of_the_file_decides(tmp_path: Path, kind: str, seconds_ago: float, expected: int) -> None:
    touched(tmp_path, f"ingest.{kind}", seconds_ago=seconds_ago)
    probed = probe(tmp_path, kind, "ingest")
    assert probed.returncode == expected, probed.stderr
    assert ("its loop has not turned for" in probed.stderr) == bool(expected)


def test_of_several_roles_the_one_that_is_not_well_is_named(tmp_path: Path) -> None:
    touched(tmp_path, "worker-high.live", seconds_ago=0)
    probed = probe(tmp_path, "live", "worker-high", "worker-low")
    assert probed.returncode == 1
    assert probed.stderr.startswith("worker-low is not live: there is no ")


def test_the_settings_say_how_old_and_where(tmp_path: Path) -> None:
    touched(tmp_path, "ingest.live", seconds_ago=70)
    assert probe(tmp_path, "live", "ingest", LEDGERQ_HANG_AFTER_SECONDS="90.5").returncode == 0
    (tmp_path / "pulse").mkdir()
    touched(tmp_path / "pulse", "ingest.ready", seconds_ago=0)
    assert probe(tmp_path, "ready", "ingest", LEDGERQ_PULSE_DIR="", LEDGERQ_STATE_DIR=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("arguments", [(), ("live",), ("well", "ingest")])
def test_asked_wrongly_it_says_how_to_ask(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    probed = probe(tmp_path, *arguments)
    assert (probed.returncode, probed.stderr) == (2, "usage: ledgerq-probe live|ready NAME…\n")


def test_it_costs_milliseconds_of_processor_time(tmp_path: Path) -> None:
    touched(tmp_path, "ingest.live", seconds_ago=0)
    before = os.times()
    for _ in range(20):
        assert probe(tmp_path, "live", "ingest").returncode == 0
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent / 20 < 0.05

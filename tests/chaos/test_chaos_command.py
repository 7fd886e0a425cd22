"""``ledgerq chaos``, short: every kind of thing is killed, the promises are kept, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import processes
from tests.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


def start(state: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "chaos", *arguments],
        env={**os.environ, "LEDGERQ_STATE_DIR": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert left_in(tmp_path) == []


def left_in(state: Path) -> list[int]:
    slot = state / "chaos" / "slot-0"
    return [*processes.members(slot), *processes.members(slot / "servers")]


def test_every_kind_of_thing_killed_and_the_four_promises_kept(state: Path) -> None:
    done = start(state, "--kills", "9", "--seed", "3")
    said, _ = done.communicate(timeout=380)
    assert done.returncode == 0, said
    kinds = ("child", "worker", "ingest", "dispatch", "projector", "scheduler", "connection", "broker", "database")
    assert all(f"{kind} 1" in said for kind in kinds), said
    assert "0 not stored" in said
    assert "0 double ends" in said
    assert "0 lost" in said
    assert "the four promises were kept" in said
    assert not any((state / "chaos").rglob("*.log"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_it_leaves_nothing_behind(state: Path, number: signal.Signals) -> None:
    running = start(state, "--kills", "50")
    assert running.stdout is not None
    eventually(lambda: "about" in (running.stdout.readline() if running.stdout else ""), seconds=90, every=0)
    assert len(left_in(state)) > 10
    running.send_signal(number)
    running.communicate(timeout=90)
    eventually(lambda: not left_in(state), seconds=60)

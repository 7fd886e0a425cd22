from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from infra.local import processes
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def sleeper(mark: Path, *, script: str = "exec sleep 1000") -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sh", "-c", script], env=processes.marked(os.environ, mark))
    eventually(lambda: process.pid in processes.members(mark))
    return process


def test_only_the_same_mark_makes_a_process_ours(tmp_path: Path) -> None:
    ours, similar = sleeper(tmp_path / "slot-1"), sleeper(tmp_path / "slot-10")
    assert processes.members(tmp_path / "slot-1") == [ours.pid]
    assert processes.members(tmp_path) == []
    for process in (ours, similar):
        process.kill()
        process.wait()


def test_who_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    stubborn = sleeper(tmp_path, script=f"trap '' TERM; touch {deaf}; while :; do sleep 0.05; done")
    eventually(deaf.exists)
    processes.end([stubborn.pid], grace_seconds=0.2)
    assert stubborn.wait() == -signal.SIGKILL


def test_who_ends_when_asked_is_not_waited_for_any_longer(tmp_path: Path) -> None:
    polite = sleeper(tmp_path)
    processes.end([polite.pid], grace_seconds=1000)
    assert polite.wait() == -signal.SIGTERM


def test_a_process_that_is_just_being_started_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starting = sleeper(tmp_path)
    look = processes._environments
    looks = 0

    def environments() -> Iterable[tuple[int, list[bytes]]]:
        nonlocal looks
        looks += 1
        shown = dict(look())
        return {**shown, starting.pid: [b""]}.items() if looks == 1 else shown.items()

    monkeypatch.setattr(processes, "_environments", environments)
    processes.end_members(tmp_path, grace_seconds=1000)
    assert starting.poll() == -signal.SIGTERM


def test_a_process_that_has_ended_has_no_identity_even_before_it_is_reaped() -> None:
    process = subprocess.Popen(["true"])
    eventually(lambda: processes.identity(process.pid) is None)
    process.wait()
    assert processes.identity(process.pid) is None


def test_two_processes_differ_even_under_one_id() -> None:
    assert processes.identity(os.getpid()) == processes.identity(os.getpid())
    assert processes.identity(os.getpid()) != processes.identity(1)

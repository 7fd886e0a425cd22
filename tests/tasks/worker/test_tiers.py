import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain.tier import Tier
from tasks.worker.tiers import LONGEST_PAUSE_SECONDS, TierProcess
from tests.tasks.worker.lab import ROOT, Lab
from tests.waiting import eventually

pytestmark = pytest.mark.system

LIMIT_MEGABYTES = 150


def consumers(lab: Lab) -> list[int]:
    with lab.channel() as channel:
        return [channel.queue_declare(tier.queue, passive=True).method.consumer_count for tier in Tier]


def processes_of(pid: int) -> dict[str, int]:
    """The process of each tier, by what its log of children says: pid by tier."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = {child: Path(f"/proc/{child}/cmdline").read_text().split("\0") for child in children}
    return {line[line.index("--tier") + 1]: int(child) for child, line in lines.items() if "--tier" in line}


def megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


class Dead:
    """A process that has ended."""

    returncode = 1

    def __init__(self, *_args: object, **_kwargs: object) -> None: ...

    def poll(self) -> int:
        return self.returncode


def test_the_pause_before_a_restart_grows_until_the_tier_has_lived_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", Dead)
    tier, now, pauses = TierProcess(Tier.LOW, concurrency=1), 0.0, []
    for lifetime in (0, 1, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS + 1, 0):
        tier.look(now)
        now += lifetime
        tier.look(now)
        pauses.append(tier.start_at - now)
        now = tier.start_at
    assert pauses == [0.5, 1, 2, 0.5, 1]


def test_all_tiers_are_served_kept_alive_and_stopped_together(lab: Lab) -> None:
    supervisor = subprocess.Popen(
        (sys.executable, "-m", "infra.cli", "worker", "--concurrency", "1"),
        cwd=ROOT,
        env={**os.environ, **lab.environment},
        stdin=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: consumers(lab) == [1, 1, 1, 1], seconds=60)
        tiers = processes_of(supervisor.pid)
        assert set(tiers) == {tier.value for tier in Tier}
        assert all(megabytes(pid) < LIMIT_MEGABYTES for pid in tiers.values())
        os.kill(tiers["low"], signal.SIGKILL)
        eventually(lambda: processes_of(supervisor.pid).get("low") not in {None, tiers["low"]})
        eventually(lambda: consumers(lab) == [1, 1, 1, 1], seconds=30)
        supervisor.terminate()
        assert supervisor.wait(40) == 0
        assert consumers(lab) == [0, 0, 0, 0]
    finally:
        supervisor.kill()
        supervisor.wait()

"""Runs of ``python -m infra.local`` as a shell would start them, with slots of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.local import processes
from infra.local.slot import live_slots
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[3]
# Never looked at: what is given is passed on as it is.
GIVEN_BROKER = {"LEDGERQ_BROKER_URL": "amqp://somebody@127.0.0.1:1/%2F"}
GIVEN = {**GIVEN_BROKER, "LEDGERQ_DATABASE_URL": "postgresql://somebody@127.0.0.1:1/x"}

started: list[Run] = []
"""Every run of this session, so that one which outlives a failed test can be ended."""


class Run:
    """One run: its process, the slots it takes from ``root``, and what it says."""

    def __init__(self, root: Path, *arguments: str, given: dict[str, str] | None = None, **how: Any) -> None:
        self.slots = root
        outer = {name: value for name, value in os.environ.items() if not name.startswith("LEDGERQ_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra.local", "--root", str(root), *arguments],
            cwd=CHECKOUT,
            **{
                "env": {**outer, **(given or {})},
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **how,
            },
        )

        started.append(self)

    def line(self) -> str:
        """The next line that the command writes."""
        assert self.process.stdout is not None
        line: str = self.process.stdout.readline()
        return line.rstrip("\n")

    def end(self, *, seconds: float = 60) -> tuple[int, str, str]:
        """Wait for the end; exit status, rest of the output, errors."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the run's own process."""
        self.process.send_signal(number)

    def children(self) -> list[int]:
        """Ids of the processes that the run's own process has started."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in listed.read_text().split()]


def run(root: Path, *arguments: str, given: dict[str, str] | None = None) -> tuple[int, str, str]:
    """A run from its start to its end: exit status, output, errors."""
    return Run(root, *arguments, given=given).end()


def everything_of(slot: Path) -> list[int]:
    """Living processes of a slot: the run's and the servers'."""
    return [*processes.members(slot), *processes.members(slot / "servers")]


def nothing_is_left_of(slot: Path, *, seconds: float = 40) -> None:
    """Wait until no process of the slot lives and nobody holds it."""
    eventually(lambda: not everything_of(slot) and not is_held(slot), seconds=seconds)


def is_held(slot: Path) -> bool:
    """Whether a run or its leash still has the slot."""
    (slot / "env").touch()
    held = slot in live_slots(slot.parent)
    (slot / "env").unlink()
    return held

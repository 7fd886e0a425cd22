"""A small supervisor for one machine: starts the platform's processes, starts them again when they die, stops them all.

In production this is the work of systemd or Kubernetes; here it makes one command run everything.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

GRACE_SECONDS: Final = 10.0
"""How long a process may take to stop before it is killed."""
RESTART_PAUSE_SECONDS: Final = 0.2
"""Pause before a process that died is started again; doubles up to a limit while it keeps dying."""
LONGEST_PAUSE_SECONDS: Final = 5.0
_PR_SET_PDEATHSIG: Final = 1


@dataclass
class Child:
    """One supervised process and its history."""

    name: str
    arguments: Sequence[str]
    own: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    start_at: float = 0.0
    started_at: float = 0.0
    pause: float = RESTART_PAUSE_SECONDS

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.process.pid if self.process and self.process.poll() is None else None


@dataclass
class Supervisor:
    """Keeps a set of processes alive until told to stop.

    Attributes:
        environment: what each of them gets.
        log_directory: where each one's output goes, ``<name>.log``.
        tell: called with a line when a process died and will be started again.
    """

    environment: Mapping[str, str]
    log_directory: Path
    tell: Callable[[str], None]
    children: list[Child] = field(default_factory=list)
    _logs: dict[str, IO[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, own: Mapping[str, str] | None = None) -> Child:
        """Start ``ledgerq ARGUMENTS`` under ``name``, with variables of its ``own``, and keep it running."""
        child = Child(name, (sys.executable, "-m", "infra.cli", *arguments), own or {})
        self.children.append(child)
        self._spawn(child)
        return child

    def look(self) -> None:
        """Start again what has died; call this often."""
        for child in self.children:
            if child.pid is None:
                self._revive(child)

    def stop(self) -> None:
        """Ask every process to finish, wait, and kill what does not; leaves no process of theirs behind."""
        for child in self.children:
            if child.pid is not None:
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self.children:
            if child.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.1, deadline - time.monotonic()))
                self._bury(child)
        for log in self._logs.values():
            log.close()

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None:
            status = child.process.returncode
            self._bury(child)
            child.pause = (
                RESTART_PAUSE_SECONDS
                if now - child.started_at > LONGEST_PAUSE_SECONDS
                else min(child.pause * 2, LONGEST_PAUSE_SECONDS)
            )
            child.start_at = now + child.pause
            self.tell(f"{child.name} ended with status {status}; starting it again")
        if now >= child.start_at:
            child.restarts += 1
            self._spawn(child)

    def _spawn(self, child: Child) -> None:
        if child.name not in self._logs:
            self._logs[child.name] = (self.log_directory / f"{child.name}.log").open("ab")
        log = self._logs[child.name]
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603  our own command line
            child.arguments,
            env={**self.environment, **child.own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509  no threads here: the supervisor is single-threaded
        )

    def _bury(self, child: Child) -> None:
        """Kill what is left of a process's group (a killed worker's pool children) and forget it."""
        if child.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        child.process = None


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, however it dies (Linux, prctl(2) PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

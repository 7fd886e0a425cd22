"""Runs a command in a process group of its own, passes signals on once, and gives back its exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from infra.local.signals import Signals, ending
from infra.local.terminal import Terminal

GRACE_SECONDS: Final = 90.0
"""How long the command may take to end after it was told to."""
_STATUS_OF_SIGNAL: Final = 128
_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
# Python ignores these two; a command expects their defaults (subprocess documentation, restore_signals).
_DEFAULTS: Final = (signal.SIGPIPE, signal.SIGXFSZ)


def run_in_foreground(command: Sequence[str], environment: Mapping[str, str], signals: Signals) -> int:
    """Run the command to its end.

    SIGTERM and SIGHUP are passed to the command, SIGINT to its whole process group as a terminal would, each once. A
    command that has not ended 90 s later is killed.

    Returns:
        Its exit status as a shell counts: 128 + n for death by signal n, 127 and 126 if it cannot be started.
    """
    with Terminal() as terminal:
        try:
            pid = os.posix_spawnp(command[0], list(command), environment, setpgroup=0, setsigdef=_DEFAULTS)
        except FileNotFoundError:
            sys.stderr.write(f"ledgerq: {command[0]}: not found\n")
            return _NOT_FOUND
        except OSError as error:
            sys.stderr.write(f"ledgerq: {command[0]}: {error.strerror}\n")
            return _NOT_EXECUTABLE
        terminal.give(pid)
        status = os.waitstatus_to_exitcode(_await_end(pid, terminal, signals))
        return _STATUS_OF_SIGNAL - status if status < 0 else status


def _await_end(pid: int, terminal: Terminal, signals: Signals) -> int:
    """Pass signals on until the command ends; its wait status."""
    passed: set[signal.Signals] = set()
    deadline: float | None = None
    while True:
        done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if done and os.WIFSTOPPED(status):
            terminal.pause_with(pid, stopped_by=os.WSTOPSIG(status))
        elif done:
            return status
        rest = None if deadline is None else max(0.0, deadline - time.monotonic())
        for number in set(ending(signals.wait(rest))) - passed:
            passed.add(number)
            deadline = deadline or time.monotonic() + GRACE_SECONDS
            _pass_on(number, pid)
        if deadline is not None and time.monotonic() >= deadline:
            os.killpg(pid, signal.SIGKILL)
            deadline = time.monotonic() + GRACE_SECONDS


def _pass_on(number: signal.Signals, pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        if number == signal.SIGINT:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)

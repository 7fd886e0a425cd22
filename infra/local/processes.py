"""Which processes belong to a slot, and how they are ended.

Everything started in a slot carries a mark in its environment, ``LEDGERQ_SLOT=<path>``, and so does whatever it starts.
The mark makes a process ours; a process id alone never does, because ids are used again. The run's own processes are
marked with the slot's directory, its servers with a path in it, so that the former can be ended before the latter.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

MARK: Final = "LEDGERQ_SLOT"
_LOOKS_WITHOUT: Final = 4
_LOOK_AGAIN_SECONDS: Final = 0.05
_PROC: Final = Path("/proc")
_LINUX: Final = sys.platform == "linux"


def marked(environment: Mapping[str, str], path: Path) -> dict[str, str]:
    """The environment for a process that is to carry the mark ``path``."""
    return {**environment, MARK: str(path)}


def members(path: Path) -> list[int]:
    """Ids of all living processes that carry the mark ``path``, except the one that asks."""
    mark = f"{MARK}={path}".encode()
    return [pid for pid, environ in _environments() if mark in environ and pid != os.getpid() and identity(pid)]


def working_in(directory: Path) -> list[int]:
    """Ids of the living processes whose working directory this is, of whatever mark; none where /proc is missing."""
    found = []
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # somebody else's, or gone while we looked
            if (process / "cwd").readlink() == directory:
                found.append(int(process.name))
    return found


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same id; None when it is not alive (or a zombie)."""
    if not _LINUX:
        return _ps("-o", "lstart=", "-p", str(pid)).decode().strip() or None
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may hold anything (proc(5)): count from its end.
    fields = stat.rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    return None if state in "ZX" else f"{_boot()}:{start_time}"


def end_members(path: Path, *, grace_seconds: float) -> None:
    """End all processes that carry the mark ``path``, as :func:`end` does; also those that are just being started.

    While a program is being loaded (execve(2)) its process shows no environment, and so no mark: one look that finds
    nobody is not enough.
    """
    looks_without = 0
    while looks_without < _LOOKS_WITHOUT:
        if found := members(path):
            end(found, grace_seconds=grace_seconds)
            looks_without = 0
        else:
            looks_without += 1
            time.sleep(_LOOK_AGAIN_SECONDS)


def end(pids: Iterable[int], *, grace_seconds: float) -> None:
    """Ask the processes to end (SIGTERM), wait, and kill those that have not after ``grace_seconds``."""
    known = {pid: who for pid in pids if (who := identity(pid))}
    _signal(known, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while (known := _still(known)) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal(known, signal.SIGKILL)
    while known := _still(known):
        time.sleep(0.01)


def _still(known: Mapping[int, str]) -> dict[int, str]:
    return {pid: who for pid, who in known.items() if identity(pid) == who}


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.kill(pid, number)


def _environments() -> Iterable[tuple[int, list[bytes]]]:
    """Every process whose environment we may read, with the parts of it."""
    if not _LINUX:
        for line in _ps("-axwwE", "-o", "pid=,command=").splitlines():
            pid, *words = line.split()
            yield int(pid), words
        return
    for process in _PROC.iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # somebody else's, or gone while we looked
                yield int(process.name), (process / "environ").read_bytes().split(b"\0")


def _ps(*arguments: str) -> bytes:
    return subprocess.run(["ps", *arguments], check=False, capture_output=True).stdout  # noqa: S603, S607  POSIX ps


@functools.cache
def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()

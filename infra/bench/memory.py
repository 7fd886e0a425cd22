"""What each long-lived process holds in memory."""

from __future__ import annotations

from pathlib import Path

from infra.local.supervisor import Supervisor


def resident_megabytes(pid: int) -> float:
    """Resident set of a process in MB (proc(5), ``VmRSS``); 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(kilobytes[0]) / 1024 if kilobytes else 0.0


def descendants(pid: int) -> list[int]:
    """The process and everything it started, at any depth."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(found for child in children for found in descendants(int(child)))]


def by_process(supervisor: Supervisor) -> dict[str, float]:
    """The largest single process under each supervised name, in MB."""
    return {
        child.name: max((resident_megabytes(pid) for pid in descendants(child.pid)), default=0.0)
        for child in supervisor.children
        if child.pid is not None
    }

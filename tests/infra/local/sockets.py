"""Where processes listen, as the kernel tells (Linux, proc(5))."""

from __future__ import annotations

from pathlib import Path

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
LISTENING = "0A"


def listening_addresses(pids: list[int]) -> set[str]:
    """Addresses, in the kernel's hexadecimal form, on which any of the processes listens for TCP."""
    sockets = {inode for pid in pids for inode in _socket_inodes(pid)}
    rows = [line.split() for table in ("tcp", "tcp6") for line in _table(table)]
    return {row[1].split(":")[0] for row in rows if row[3] == LISTENING and row[9] in sockets}


def _table(name: str) -> list[str]:
    path = Path("/proc/net") / name
    return path.read_text().splitlines()[1:] if path.exists() else []


def _socket_inodes(pid: int) -> list[str]:
    links = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]
    return [link[len("socket:[") : -1] for link in links if link.startswith("socket:[")]

"""Free TCP ports on 127.0.0.1."""

from __future__ import annotations

import json
import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

# Below the range from which kernels take the ports of outgoing connections (32768 up on Linux, 49152 up elsewhere),
# so that no connection made between the choice and the server's own bind takes the port away.
LOWEST: Final = 20_000
HIGHEST: Final = 32_000
_CHANCE: Final = random.SystemRandom()


def choose_ports(memory: Path, *names: str) -> dict[str, int]:
    """A free port for each name: the ones used last time (kept in the file ``memory``) where they are still free.

    Nobody holds the port until the server binds it, so a start can still lose it and has to choose again.
    """
    before: dict[str, int] = {}
    with suppress(OSError, ValueError):  # a first start, or a file cut short: choose freely
        before = json.loads(memory.read_text())
    chosen: dict[str, int] = {}
    for name in names:
        port = before.get(name)
        while port is None or port in chosen.values() or not is_free(port):
            port = _CHANCE.randrange(LOWEST, HIGHEST)
        chosen[name] = port
    memory.write_text(json.dumps(chosen))
    return chosen


def choose_block(first: int, *, length: int) -> int:
    """The first of ``length`` free ports in a row: ``first`` where those are free, else anywhere in the range."""
    while not all(is_free(port) for port in range(first, first + length)):
        first = _CHANCE.randrange(LOWEST, HIGHEST - length)
    return first


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of 127.0.0.1 right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

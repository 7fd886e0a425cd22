"""The leash: a process of its own that starts a run's servers and stops them when the run is over, however it ended.

It reads a pipe whose other end only the run holds. When the run ends, or is killed, the kernel closes that end and the
leash stops everything the slot holds. It lives in a session of its own, so a terminal's Ctrl-C does not reach it.

It answers once on its standard output, one JSON object: ``{"environment": {…}, "servers": "…"}`` or ``{"error": "…"}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Final, TypedDict

from infra.local import processes
from infra.local.containers import ContainerServers
from infra.local.errors import LocalServersError
from infra.local.servers import STATE, PrivateServers, Servers
from infra.local.slot import CHECKOUT, Slot

TENANT_GRACE_SECONDS: Final = 15.0
"""How long what a run has started and not ended may take before it is killed."""
LEFTOVER_GRACE_SECONDS: Final = 12.0
"""The same for servers that a killed leash has left; RabbitMQ takes about 6 s."""
_LOOK_SECONDS: Final = 0.2


class Answer(TypedDict, total=False):
    """What the leash says to the run."""

    environment: dict[str, str]
    servers: str
    error: str


def put_on_leash(slot: Slot, *, docker: bool) -> subprocess.Popen[bytes]:
    """Start a leash for the slot; its ``stdin`` is the pipe to keep open, its ``stdout`` gives the answer.

    The leash shares the slot's lock, so the slot stays taken until the servers have stopped.
    """
    environment = {name: value for name, value in os.environ.items() if name != processes.MARK}
    return subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-m", __name__, str(slot.directory), str(slot.lock), *(["--docker"] if docker else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=CHECKOUT,  # where the packages are imported from, wherever the run itself was called
        pass_fds=(slot.lock,),
        start_new_session=True,
    )


class Release:
    """Whether the run has let go: its end of the pipe is closed, or somebody asks the leash itself to end."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        """Look without waiting."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait for it, at most ``seconds``."""
        if not self._asked:
            readable, _, _ = select.select([0], [], [], seconds)
            self._asked = bool(readable)
        return self._asked

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True


def hold(slot: Slot, *, docker: bool) -> None:
    """Start the servers, answer, wait for the release, stop everything."""
    release = Release()
    clear(slot)
    try:
        servers: Servers = (ContainerServers if docker else PrivateServers)(slot, os.environ)
    except LocalServersError as error:
        _answer({"error": str(error)})
        return
    try:
        _serve(slot, servers, release)
    except LocalServersError as error:
        _answer({"error": str(error)})
    finally:
        slot.forget_addresses()
        processes.end_members(slot.directory, grace_seconds=TENANT_GRACE_SECONDS)
        try:
            servers.stop()
        except LocalServersError as error:
            sys.stderr.write(f"ledgerq: {error}\n")
        clear(slot)


def clear(slot: Slot) -> None:
    """End whatever is still alive in the slot: first what used the servers, then the servers."""
    slot.forget_addresses()
    processes.end_members(slot.directory, grace_seconds=TENANT_GRACE_SECONDS)
    processes.end_members(slot.servers_mark, grace_seconds=LEFTOVER_GRACE_SECONDS)


def _serve(slot: Slot, servers: Servers, release: Release) -> None:
    environment = {**servers.start(canceled=release), STATE: str(slot.directory)}
    slot.publish(environment)
    _answer({"environment": environment, "servers": servers.describe()})
    while not release.wait(_LOOK_SECONDS):
        pass


def _answer(answer: Answer) -> None:
    with contextlib.suppress(BrokenPipeError):  # the run was killed while it waited
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    hold(Slot(Path(sys.argv[1]), int(sys.argv[2])), docker="--docker" in sys.argv[3:])

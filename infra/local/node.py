"""A private server process with a data directory of its own: started, probed, stopped, set up anew when broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

from infra.local.errors import NodeStartError, StartCancelledError
from infra.local.ports import choose_ports
from infra.local.processes import marked

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_PROBE_PAUSE_SECONDS: Final = 0.04
_LOG_LINES_SHOWN: Final = 15
# A server gets these from our own environment and nothing else: a stray RABBITMQ_NODENAME or PGDATA would move it.
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def never() -> bool:
    """No cancellation."""
    return False


class Node(ABC):
    """One server on 127.0.0.1, with ports chosen at each start.

    Attributes:
        directory: everything of the node: data, configuration, ``output.log``.
        ports: name → number, from the first start on.
    """

    title: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]

    def __init__(self, directory: Path, *, mark: Path, password: str) -> None:
        self.directory = directory
        self.password = password
        self.ports: dict[str, int] = {}
        self.environment = marked({name: os.environ[name] for name in _INHERITED if name in os.environ}, mark)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.directory / "output.log"

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self, *, canceled: Callable[[], bool] = never, keep_data: bool = False) -> None:
        """Start and wait until the server answers its user.

        What cannot be started is local scratch: it is set up anew, twice at most, with other ports.

        Args:
            canceled: asked while waiting; true gives up.
            keep_data: fail instead of setting up anew.

        Raises:
            NodeStartError: it does not get ready.
            StartCancelledError: ``canceled`` said so.
        """
        for attempt in range(1 if keep_data else 3):
            try:
                self._start_once(canceled, anew=attempt > 0)
            except NodeStartError as error:
                self.kill()
                if keep_data or attempt == 2:  # noqa: PLR2004  the third and last
                    raise
                sys.stderr.write(f"{error}\n{self.title}: setting it up anew\n")
            except BaseException:
                self.kill()
                raise
            else:
                return

    def stop(self) -> None:
        """Stop in the server's own way, or kill it when that takes too long."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.wait()
        self.process = None

    def kill(self) -> None:
        """End the server without warning (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _start_once(self, canceled: Callable[[], bool], *, anew: bool) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if anew or not self.has_usable_data():
            self.discard_data()
        if anew:
            (self.directory / "ports.json").unlink(missing_ok=True)
        self.ports = choose_ports(self.directory / "ports.json", *self.port_names)
        self.log.write_bytes(b"")
        try:
            self.process = self.launch()
        except subprocess.CalledProcessError as error:
            raise NodeStartError(f"{self.title}: {error}\n{self.tail()}") from error
        self._await_ready(self.process, canceled)

    def _await_ready(self, process: subprocess.Popen[bytes], canceled: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if canceled():
                raise StartCancelledError(f"{self.title}: canceled")
            if process.poll() is not None:
                raise NodeStartError(f"{self.title} ended with status {process.returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise NodeStartError(f"{self.title} is not ready after {START_SECONDS:.0f} s\n{self.tail()}")
            time.sleep(_PROBE_PAUSE_SECONDS)

    def tail(self) -> str:
        """The end of the server's log, for an error's text."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        return "\n".join(f"    {line}" for line in lines)

    def spawn(self, *command: str | Path, **how: Any) -> subprocess.Popen[bytes]:
        """Start a program of this node with its environment, writing to its log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  the servers' own programs
                command,
                **{"env": self.environment, "cwd": self.directory, **how},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @abstractmethod
    def has_usable_data(self) -> bool:
        """Whether the data directory is of this version of the server and was set up to its end."""

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]:
        """Set up what is missing and start the server's process."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server answers its user, on every one of its doors."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Send the server what makes it stop in order."""

    def discard_data(self) -> None:
        """Forget everything the node has kept."""
        shutil.rmtree(self.directory)
        self.directory.mkdir()

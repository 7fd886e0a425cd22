"""The real processes, started the way an operator starts them, for tests that kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from infra.settings import Settings


class Process:
    """``ledgerq COMMAND`` in a process of its own; its log lines are kept in a file.

    Attributes:
        log: what it wrote so far.
    """

    def __init__(self, command: str, settings: Settings, *, log: Path, **changed: str) -> None:
        self._file = log
        environment = {
            **os.environ,
            "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
            "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
            **changed,
        }
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "infra.cli", *command.split()), env=environment, stdout=file, stderr=file
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        return self._file.read_text()

    @property
    def leads(self) -> bool:
        """Whether it has ever said that it leads."""
        return '"leading"' in self.log

    @property
    def stands_by(self) -> bool:
        """Whether it has ever said that another one leads."""
        return '"standing by"' in self.log

    @property
    def gave_way(self) -> bool:
        """Whether it has found out that it leads no longer."""
        return "giving way" in self.log

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it the way the kernel does when memory runs out."""
        if self.runs:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        self._process.terminate()
        return self._process.wait(20)

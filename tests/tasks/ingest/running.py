"""The ingest process itself, started, stopped and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.settings import Settings
from tests.waiting import eventually

COMMAND = "from tasks.ingest.process import run; run()"
AHEAD = """
from datetime import datetime, timedelta

import tasks.ingest.batch, tasks.ingest.blindness, tasks.ingest.consumer, tasks.ingest.process, tasks.ingest.sending


class Later(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(seconds={seconds})


for module in (tasks.ingest.batch, tasks.ingest.blindness, tasks.ingest.consumer, tasks.ingest.sending):
    module.datetime = Later
tasks.ingest.process.run()
"""
"""The same process at a later time: every clock that it looks at is ahead."""


class IngestProcess:
    """``tasks.ingest.process.run()`` in a process of its own; its clock may be some seconds ahead."""

    def __init__(self, settings: Settings, directory: Path, *, ahead_seconds: float = 0, **changes: Any) -> None:
        changed = {
            "BROKER_URL": settings.broker_url.get_secret_value(),
            "DATABASE_URL": settings.database_url.get_secret_value(),
            **{name.upper(): str(value) for name, value in changes.items()},
        }
        self.log = directory / "ingest.log"
        environment = {**os.environ, **{f"LEDGERQ_{name}": value for name, value in changed.items()}}
        with self.log.open("ab") as log:
            command = AHEAD.format(seconds=ahead_seconds) if ahead_seconds else COMMAND
            self.process = subprocess.Popen((sys.executable, "-c", command), env=environment, stdout=log, stderr=log)

    def says(self, text: str, *, times: int = 1) -> bool:
        """Whether its log has said so, so many times."""
        return self.log.read_text().count(text) >= times

    def begins(self) -> IngestProcess:
        """Wait until it consumes."""
        eventually(lambda: self.says("ingest consumes"))
        return self

    def kill(self) -> None:
        """SIGKILL: it gets no chance to say goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self.process.poll() is None:
            self.kill()

    def memory_megabytes(self) -> float:
        """The most it has had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

"""How long the sweep takes over many sessions that fell silent at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg

from domain.cause import Cause
from domain.heartbeat import WatermarkPassed
from infra.bench import payload
from infra.event_store import EventStore, Log, caused
from infra.settings import Settings

_BATCH: Final = 1000
_HUNDRED_THOUSAND: Final = 100_000
_SILENT_FOR: Final = timedelta(hours=1)
_DEADLINE_SECONDS: Final = 240.0
_LOOK_EVERY_SECONDS: Final = 0.2
_BEHIND: Final = "select coalesce(sum(lag_events), 0) from analytics.meta_freshness"


class SweepBench:
    """Measures in a database with no process of the platform but the projector.

    Args:
        settings: of that database.
        directory: where the projector's output goes.
        environment: the platform's.
    """

    def __init__(self, settings: Settings, directory: Path, environment: Mapping[str, str]) -> None:
        self._url = settings.database_url.get_secret_value()
        self._directory = directory
        self._environment = {**environment, "LEDGERQ_LOG_LEVEL": "warning"}

    def measure(self, *, sessions: int, tell: Callable[[str], None]) -> dict[str, float]:
        """Seconds until all silent sessions have been found, judged and recorded as lapsed; as if they were 100 000.

        The projector follows meanwhile, as it does.

        Args:
            sessions: how many are silent.
            tell: called with what the sweep says of itself.
        """
        self._store(sessions)
        with self._projector():
            self._await_projector()
            swept = self._sweep()
        tell(f"  {swept}")
        if swept["cleaned"] != sessions:
            raise RuntimeError(f"the sweep let {swept['cleaned']} of {sessions} sessions lapse")
        return {"sweep_100k_seconds": swept["seconds"] * _HUNDRED_THOUSAND / sessions}

    def _store(self, sessions: int) -> None:
        """Sessions that started an hour ago in log time, and were not heard of since."""
        with EventStore(self._url, name="bench") as store:
            for _ in range(0, sessions, _BATCH):
                store.append(Log.LICENSING, payload.session_starts(_BATCH))
            now = datetime.now(UTC)
            passed = WatermarkPassed.at(now + _SILENT_FOR, marker_id=uuid4())
            store.append(Log.HEARTBEATS, caused([passed], Cause(id=uuid4(), at=now, actor="/bench")))

    def _await_projector(self) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        with psycopg.connect(self._url, autocommit=True) as connection:
            while (behind := connection.execute(_BEHIND).fetchone()) != (0,):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the projector is {behind} events behind; see {self._directory}")
                time.sleep(_LOOK_EVERY_SECONDS)

    def _sweep(self) -> dict[str, Any]:
        command = (sys.executable, "-m", "tasks.sample.sweep_once")
        done = subprocess.run(command, env=self._environment, stdout=subprocess.PIPE, check=True)  # noqa: S603  ours
        swept: dict[str, Any] = json.loads(done.stdout)
        return swept

    @contextmanager
    def _projector(self) -> Iterator[None]:
        with (self._directory / "bench-projector.log").open("ab") as log:
            command = (sys.executable, "-m", "infra.cli", "projector")
            process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)  # noqa: S603  ours
        try:
            yield
        finally:
            process.terminate()
            process.wait()

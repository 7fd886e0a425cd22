"""A monitor in a process of its own, with wires to broker and database that can be stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest

from infra.settings import Settings
from tests.infra.broker.relay import Relay
from tests.tasks.processes import Process
from tests.waiting import eventually


class MonitorProcess(Process):
    """``ledgerq monitor``, asked over HTTP."""

    def __init__(self, settings: Settings, *, log: Path, **changed: str) -> None:
        quick = {
            "LEDGERQ_MONITOR_PORT": "0",
            "LEDGERQ_MONITOR_INTERVAL_SECONDS": "0.1",
            "LEDGERQ_MONITOR_PATIENCE_SECONDS": "1",
            "LEDGERQ_STATE_DIR": str(log.parent),
        }
        super().__init__("monitor", settings, log=log, **{**quick, **changed})

    def begun(self) -> MonitorProcess:
        """Once it listens."""
        eventually(lambda: "monitor listens" in self.log or not self.runs)
        assert self.runs, self.log
        return self

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an answer."""
        status, text = self.read(path)
        return status, msgspec.json.decode(text)

    def read(self, path: str) -> tuple[int, str]:
        """The status and the text of an answer."""
        port = int(re.findall(r'"port": (\d+)', self.log)[0])
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(scope="module")
def broker_wire(platform: Settings) -> Iterator[Relay]:
    with closing(Relay(platform)) as laid:
        yield laid


@pytest.fixture(scope="module")
def database_wire(platform: Settings) -> Iterator[Relay]:
    """A relay knows no protocol: the database's URL serves it as the broker's does."""
    with closing(Relay(platform.model_copy(update={"broker_url": platform.database_url}))) as laid:
        yield laid


@pytest.fixture(scope="module")
def monitor(
    platform: Settings, broker_wire: Relay, database_wire: Relay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MonitorProcess]:
    wired = platform.model_copy(
        update={"broker_url": broker_wire.settings.broker_url, "database_url": database_wire.settings.broker_url}
    )
    with MonitorProcess(wired, log=tmp_path_factory.mktemp("monitor") / "monitor.log") as process:
        yield process.begun()

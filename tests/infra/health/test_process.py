"""The monitor as orchestrators and people see it, over real servers that go away."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from pydantic import SecretStr

from infra.settings import Settings
from tests.infra.broker.relay import Relay
from tests.infra.health.conftest import MonitorProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

ODD = "p@ss:w/o%rd?#é"
"""A password of which nothing survives in a URL as it is."""


def is_ready(monitor: MonitorProcess) -> bool:
    return monitor.ask("/ready") == (200, {"status": "ready", "components": {}})


def test_with_broker_and_database_it_is_ready(monitor: MonitorProcess) -> None:
    eventually(lambda: is_ready(monitor))


def test_details_tell_of_every_component_and_of_workers_by_the_names_that_were_asked_for(
    monitor: MonitorProcess,
) -> None:
    eventually(lambda: is_ready(monitor))
    status, told = monitor.ask("/health/detailed")
    assert (status, told["status"]) == (503, "unhealthy")  # nobody works here
    expected = {"broker", "queues", "database", "celery", "ingest", "dispatch", "projector", "scheduler", "projections"}
    assert expected <= told["components"].keys()
    assert {"status", "workers_count", "active_tasks", "workers"} <= told["components"]["celery"].keys()
    assert told["components"]["queues"]["queues"]["tasks.high"] == {"ready": 0, "consumers": 0}
    assert {row["projection"] for row in told["components"]["projections"]["lag"]} >= {"task_runs", "sessions"}


def test_a_broker_that_accepts_and_says_nothing_costs_readiness_and_nobody_waits_for_it(
    monitor: MonitorProcess, broker_wire: Relay
) -> None:
    eventually(lambda: is_ready(monitor))
    broker_wire.withhold_answers()
    status, told = eventually(lambda: answer if (answer := monitor.ask("/ready"))[0] == 503 else None)
    assert status == 503
    assert told["components"].keys() == {"broker"}
    assert told["components"]["broker"]["detail"] == "no answer for 1 s and more"
    assert told["components"]["broker"]["since"]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(monitor.read, ["/live", "/ready", "/health/detailed"] * 20))
    assert time.monotonic() - began < 3
    assert {status for status, _ in answers[::3]} == {200}
    broker_wire.release_answers()
    eventually(lambda: is_ready(monitor))


def test_a_database_that_says_nothing_costs_readiness_and_what_it_would_tell_is_not_known(
    monitor: MonitorProcess, database_wire: Relay
) -> None:
    eventually(lambda: is_ready(monitor))
    database_wire.withhold_answers()
    eventually(lambda: monitor.ask("/ready")[0] == 503)
    components = monitor.ask("/health/detailed")[1]["components"]
    assert components["celery"]["detail"] == "not known without the database"
    assert components["broker"]["status"] == "healthy"
    assert monitor.ask("/live") == (200, {"status": "alive"})
    database_wire.release_answers()
    eventually(lambda: is_ready(monitor))


@pytest.mark.parametrize("path", ["/", "/health", "/live/more"])
def test_nothing_else_is_there(monitor: MonitorProcess, path: str) -> None:
    assert monitor.read(path)[0] == 404


def test_no_password_is_told_nor_written_where_logins_are_refused(platform: Settings, tmp_path: Path) -> None:
    refused = platform.model_copy(
        update={"broker_url": odd(platform.broker_url), "database_url": odd(platform.database_url)}
    )
    with MonitorProcess(refused, log=tmp_path / "monitor.log", LEDGERQ_SEAL_KEY=ODD * 3) as monitor:
        monitor.begun()
        eventually(lambda: "refused" in monitor.read("/health/detailed")[1])
        eventually(lambda: "authentication failed" in monitor.read("/health/detailed")[1])
        told = "".join(monitor.read(path)[1] for path in ("/live", "/ready", "/health/detailed")) + monitor.log
    assert not [form for form in (ODD, quote(ODD, safe=""), ODD.encode().decode("latin-1")) if form in told]


def odd(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    netloc = f"{parts.username}:{quote(ODD, safe='')}@{parts.hostname}:{parts.port}"
    return SecretStr(parts._replace(netloc=netloc).geturl())


def test_a_port_that_is_taken_is_told_in_one_line(monitor: MonitorProcess, platform: Settings, tmp_path: Path) -> None:
    port = monitor.log.split('"port": ')[1].split(",")[0]
    with MonitorProcess(platform, log=tmp_path / "second.log", LEDGERQ_MONITOR_PORT=port) as second:
        eventually(lambda: not second.runs)
        assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in second.log
        assert len(second.log.splitlines()) == 1

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from domain.cause import Cause
from domain.messages import TaskRequestedData, decode_data
from domain.task_run import task_event
from infra.cloudevents import CloudEvent, decode
from infra.event_store import EventStore, Log, caused
from infra.settings import Settings
from tasks.task_commands import task
from tests.infra.broker.virtual_host import VirtualHost
from tests.tasks.processes import Process

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def environment(platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_BROKER_URL", platform.broker_url.get_secret_value())
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", platform.database_url.get_secret_value())


@pytest.fixture
def host(platform: Settings) -> Iterator[VirtualHost]:
    found = VirtualHost(platform)
    found.purge()
    yield found
    found.close()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(task, arguments)


def record(settings: Settings, name: str, run_id: str, **data: object) -> None:
    event = task_event(name, run_id, at=NOW, data={"task": "report", **data})
    with EventStore(settings.database_url.get_secret_value(), name="test") as store:
        store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test")))


def requested(host: VirtualHost) -> tuple[CloudEvent, TaskRequestedData]:
    taken = host.take("ingest")
    (event,) = decode(taken.properties.content_type, taken.properties.headers, taken.body)
    assert isinstance(event, CloudEvent)
    data = decode_data(event.type, event.data)
    assert isinstance(data, TaskRequestedData)
    return event, data


def test_run_asks_for_the_task_and_prints_the_run_s_id(host: VirtualHost) -> None:
    done = call("run", "report", "--kwargs", '{"month": 5}', "--tier", "high", "--priority", "7", "--license", "L1")
    assert done.exit_code == 0, done.output
    event, data = requested(host)
    assert UUID(done.stdout.strip()) == data.run_id
    assert (data.task, data.kwargs, data.tier.value, data.priority) == ("report", {"month": 5}, "high", 7)
    assert data.license_id == "L1"
    assert event.actor


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["report", "--kwargs", "[1]"], "JSON object"),
        (["report", "--kwargs", "{"], "JSON object"),
        (["report", "--kwargs", '{"a": "\\u0000"}'], "U+0000"),
        (["report", "--unique-key", "r\udcff"], "not UTF-8"),
        (["report", "--license", "a b"], "license_id"),
        (["report", "--tier", "urgent"], "urgent"),
        ([""], "task"),
    ],
)
def test_a_request_that_ingest_would_not_take_is_refused_at_once(
    host: VirtualHost, arguments: list[str], complaint: str
) -> None:
    done = call("run", *arguments)
    assert done.exit_code == 2
    assert complaint in done.output
    assert host.depth("ingest") == 0


@pytest.mark.parametrize(("end", "status"), [("task.succeeded", 0), ("task.failed", 1)])
def test_run_and_wait_tells_the_story_up_to_the_end(
    platform: Settings, host: VirtualHost, end: str, status: int
) -> None:
    failure = {} if end == "task.succeeded" else {"error_type": "E", "error": "e"}

    def worker() -> None:
        _, data = requested(host)
        record(platform, end, str(data.run_id), attempt=1, **failure)

    thread = Thread(target=worker)
    thread.start()
    done = call("run", "report", "--wait")
    thread.join()
    assert done.exit_code == status
    assert end in done.output


def test_waiting_ends_when_the_time_is_up(host: VirtualHost) -> None:
    done = call("run", "report", "--wait", "--timeout", "0.3")
    assert done.exit_code == 1
    assert "not stored yet" in done.output
    requested(host)


def test_show_tells_what_is_recorded(platform: Settings) -> None:
    run_id = str(uuid4())
    record(platform, "task.started", run_id, attempt=2, worker="w1")
    done = call("show", run_id)
    assert done.exit_code == 0
    assert f"report · running · 2 attempts · run {run_id}" in done.output
    assert "worker=w1" in done.output


def test_show_names_the_trace_and_where_to_look_at_it(platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = str(uuid4())
    record(platform, "task.started", run_id, attempt=1)
    trace_id = json.loads(call("show", run_id, "--json").stdout)["trace_id"]
    assert call("show", run_id).stdout.splitlines()[1] == f"  trace {trace_id}"
    monkeypatch.setenv("LEDGERQ_TRACE_URL_TEMPLATE", "http://127.0.0.1:16686/trace/{trace_id}")
    address = f"http://127.0.0.1:16686/trace/{trace_id}"
    assert call("show", run_id).stdout.splitlines()[1] == f"  trace {trace_id}  {address}"
    assert json.loads(call("show", run_id, "--json").stdout)["trace_url"] == address


def test_show_says_when_nothing_is_recorded() -> None:
    done = call("show", "no-such-run")
    assert done.exit_code == 1
    assert "no-such-run" in done.output


def test_a_request_under_a_key_that_a_run_has_prints_that_runs_id(
    host: VirtualHost, platform: Settings, tmp_path: Path
) -> None:
    key = str(uuid4())
    with Process("ingest", platform, log=tmp_path / "ingest.log"):
        first = call("run", "report", "--unique-key", key, "--unique-for", "60")
        second = call("run", "report", "--unique-key", key, "--unique-for", "60")
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert second.stdout == first.stdout
    assert key in second.stderr
    host.purge()


@pytest.fixture
def full_backlog(platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One critical run waits to be published, and no more may."""
    record(platform, "task.requested", str(uuid4()), tier="critical")
    monkeypatch.setenv("LEDGERQ_TIER_BACKLOG_LIMIT_RUNS", "1")


@pytest.mark.usefixtures("full_backlog")
def test_run_refuses_where_the_backlog_of_the_tier_is_full(host: VirtualHost) -> None:
    done = call("run", "report", "--tier", "critical")
    assert done.exit_code == 1
    assert "the backlog of tier critical is full" in done.output
    assert "--force" in done.output
    assert host.depth("ingest") == 0


@pytest.mark.usefixtures("full_backlog")
def test_run_asks_all_the_same_where_it_is_forced(host: VirtualHost) -> None:
    assert call("run", "report", "--tier", "critical", "--force").exit_code == 0
    _, data = requested(host)
    assert data.force


@pytest.mark.usefixtures("full_backlog")
def test_where_the_backlog_cannot_be_counted_run_leaves_it_to_ingest(
    host: VirtualHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    done = call("run", "report", "--tier", "critical")
    assert done.exit_code == 0, done.output
    assert "ingest will decide" in done.stderr
    assert not requested(host)[1].force

"""``AsyncResult`` as a Celery user knows it, of runs that a real worker executes and real processes record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import psycopg
import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, ResultSet

from domain.tier import Tier
from infra import database
from infra.broker import topology
from infra.broker.emitter import Emitter
from infra.cloudevents import new_event
from infra.event_store.payloads import drop_payloads
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tasks.results.backend import LedgerBackend
from tasks.results.meta import ResultError, ResultNotKept
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


class Client:
    """A Celery client: publishes by hand, so that the message alone is what the platform knows; asks by the backend."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = Celery(backend="tasks.results.backend:LedgerBackend", set_as_current=False)
        self.backend: LedgerBackend = self.app.backend

    def publish(self, task: str, *args: Any, **more_headers: Any) -> AsyncResult:
        run_id = str(uuid4())
        headers = {"id": run_id, "task": task, "root_id": run_id, "lang": "py", **more_headers}
        url = pika.URLParameters(self.settings.broker_url.get_secret_value())
        with pika.BlockingConnection(url) as connection:
            properties = pika.BasicProperties(
                headers=headers, content_type="application/json", content_encoding="utf-8"
            )
            body = json.dumps([list(args), {}, {}]).encode()
            connection.channel().basic_publish("tasks", Tier.NORMAL.queue, body, properties)
        return self.result(run_id)

    def result(self, run_id: str) -> AsyncResult:
        return self.app.AsyncResult(run_id)


@pytest.fixture(scope="module")
def client(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("results")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="results")
    settings = servers.model_copy(update=sandbox.settings_update())
    database.migrate(settings)
    topology.apply(settings)
    urls = {
        "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        stack.callback(sandbox.drop)
        for name, url in urls.items():
            environment.setenv(name, url)
        for command in ("ingest", "projector"):
            stack.enter_context(Process(command, settings, log=directory / f"{command}.log"))
        log = stack.enter_context((directory / "worker.log").open("wb"))
        worker = subprocess.Popen(
            (sys.executable, "-m", "tests.tasks.worker.hosted", Tier.NORMAL.value, "2"),
            env={**os.environ, "LAB_GATE": str(directory / "gate")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        stack.callback(worker.wait)
        stack.callback(worker.kill)
        made = Client(settings)
        stack.callback(made.backend.close)
        yield made


def test_a_value_comes_back(client: Client) -> None:
    result = client.publish("lab.add", 2, 3)
    assert result.get(timeout=60) == 5
    assert (result.state, result.successful(), result.name, result.retries) == ("SUCCESS", True, "lab.add", 0)
    assert result.queue == Tier.NORMAL.queue
    assert result.date_done is not None


def test_a_long_value_comes_back_whole_and_once_its_time_is_up_not_at_all(client: Client) -> None:
    result = client.publish("lab.big")
    value = result.get(timeout=60)
    assert len(value) == 10
    assert {len(text) for text in value} == {1000}
    with psycopg.connect(client.settings.database_url.get_secret_value(), autocommit=True) as connection:
        sizes = connection.execute("select length(body) from results.payloads where run_id = %s", [result.id])
        assert [size < 200 for (size,) in sizes] == [True]
        connection.execute("update results.payloads set stored_at = stored_at - interval '2 hours'")
    client.backend.forget(result.id)
    late = client.result(result.id)
    assert (late.state, late.ready()) == ("SUCCESS", True)
    with pytest.raises(ResultNotKept):
        late.get()
    with pytest.raises(ResultNotKept, match="longer than 2000"):
        client.result(result.id).get(timeout=5)
    with database.connect(client.settings, name="test") as connection:
        assert drop_payloads(connection, kept_for=timedelta(hours=3)) == 0
        assert drop_payloads(connection, kept_for=timedelta(hours=1)) == 1


def test_a_failure_is_raised_as_what_it_was(client: Client) -> None:
    result = client.publish("lab.stock_fail")
    with pytest.raises(ValueError, match="no x"):
        result.get(timeout=60)
    assert result.state == "FAILURE"
    assert "Traceback" in result.traceback
    assert isinstance(result.get(propagate=False), ValueError)


def test_a_run_has_the_state_that_it_is_in(client: Client, tmp_path: Path) -> None:
    go = tmp_path / "go"
    tried = client.publish("lab.fail_for_hours")
    held_up = client.publish("lab.wait_for", str(tmp_path / "started"), str(go))
    late = client.publish("lab.add", 1, 1, expires="2026-01-01T00:00:00+00:00")
    eventually(lambda: (held_up.state, tried.state) == ("STARTED", "RETRY"), seconds=60)
    assert type(tried.info) is ConnectionError
    assert not tried.ready()
    with pytest.raises(TaskRevokedError):
        late.get(timeout=60)
    assert late.state == "REVOKED"
    go.touch()
    assert held_up.get(timeout=60) == 1


def test_a_run_that_is_asked_for_and_not_sent_yet_is_pending(client: Client) -> None:
    """Nothing dispatches here."""
    run_id = str(uuid4())
    data = {"run_id": run_id, "task": "lab.add", "args": [1, 1]}
    with Emitter(client.settings, role="test") as emitter:
        emitter.emit(new_event("task.requested", source="/test", data=data, time=datetime.now(UTC)))
    eventually(lambda: client.result(run_id).state == "PENDING")


@pytest.mark.parametrize(
    ("task", "name", "is_stated"),
    [
        ("lab.refused", "NotToday", True),
        ("lab.hopeless", "HopelessError", True),
        ("lab.unspeakable", "UnspeakableError", True),
        ("lab.unstorable", "ValueError", False),
        ("lab.os_exit", "WorkerLostError", False),
        ("lab.too_slow", "SoftTimeLimitExceeded", False),
    ],
)
def test_whatever_error_ends_a_run_is_raised_by_its_name(
    client: Client, task: str, name: str, *, is_stated: bool
) -> None:
    error = client.publish(task).get(timeout=60, propagate=False)
    assert (type(error).__name__, isinstance(error, ResultError)) == (name, is_stated)


def test_an_id_of_which_nothing_is_recorded_is_unknown_and_never_comes(client: Client) -> None:
    nobody = client.result("no-such-run\0")
    assert nobody.state == "UNKNOWN"
    assert not nobody.ready()
    assert not client.backend.task_result_exists(nobody.id)
    with pytest.raises(CeleryTimeoutError):
        nobody.get(timeout=0.05)


def test_many_are_waited_for_with_few_questions(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    find = client.backend._outcomes.find
    monkeypatch.setattr(client.backend._outcomes, "find", lambda ids: looks.append(len(ids)) or find(ids))
    results = [client.publish("lab.add", number, 1) for number in range(20)]
    assert ResultSet(results, app=client.app).join_native(timeout=60) == list(range(1, 21))
    assert looks[0] == 20
    assert len(looks) < 20


def test_a_lost_connection_is_opened_anew(client: Client) -> None:
    result = client.publish("lab.add", 1, 1)
    assert result.get(timeout=60) == 2
    with psycopg.connect(client.settings.database_url.get_secret_value(), autocommit=True) as connection:
        ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = %s"
        assert connection.execute(ended, ["ledgerq results"]).fetchone() != (0,)
    client.backend.forget(result.id)
    assert client.result(result.id).get(timeout=5) == 2


def test_the_role_for_clients_reads_outcomes_and_nothing_else(client: Client) -> None:
    with psycopg.connect(client.settings.database_url.get_secret_value()) as connection:
        connection.execute("set role ledgerq_client")
        connection.execute("select run_id, result, payload from results.outcomes limit 1")
        connection.execute("select result, members from results.groups limit 1")
        for refused in ("select * from results.payloads", "select * from event_store.task_events"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(refused)


def test_a_client_of_the_app_publishes_without_a_database(client: Client) -> None:
    asked = "from tasks.app import app; r = app.send_task('lab.add', (2, 2)); print(type(app.backend).__name__, r.id)"
    environment = {**os.environ, "LEDGERQ_DATABASE_URL": "postgresql://127.0.0.1:9/nowhere"}
    done = subprocess.run((sys.executable, "-c", asked), env=environment, capture_output=True, text=True, check=True)
    backend, run_id = done.stdout.split()
    assert backend == "LedgerBackend"
    assert client.result(run_id).get(timeout=60) == 4


def test_a_client_that_logs_in_as_that_role_gets_its_results(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    result = client.publish("lab.add", 4, 3)
    url = client.settings.database_url.get_secret_value()
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", f"{url}{'&' if '?' in url else '?'}options=-crole%3Dledgerq_client")
    other = Celery(backend="tasks.results.backend:LedgerBackend", set_as_current=False)
    assert other.AsyncResult(result.id).get(timeout=60) == 7
    other.backend.close()


FORKED = """
import os, sys
from tasks.app import app
ask = lambda: app.AsyncResult(sys.argv[1]).get(timeout=30)
before = ask()
app.backend.forget(sys.argv[1])
child = os.fork()
told = ask()
if not child:
    os._exit(told)
_, status = os.waitpid(child, 0)
app.backend.forget(sys.argv[1])
print(before, told, os.waitstatus_to_exitcode(status), ask())
"""


def test_a_forked_process_asks_by_a_connection_of_its_own(client: Client) -> None:
    result = client.publish("lab.add", 3, 3)
    done = subprocess.run((sys.executable, "-c", FORKED, result.id), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["6"] * 4

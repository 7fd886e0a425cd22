"""From a task's death in a real worker to the end of its replay, each process of the platform a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import pytest
from pydantic import SecretStr

from domain.dead_letter import GENERATION_LIMIT
from infra import database
from infra.broker import topology
from infra.event_store import EventStore
from infra.local.mailbox import Mailbox
from infra.local.sandbox import create_sandbox
from infra.settings import Settings
from tests.tasks.dead_letters.morgue import Morgue
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
PATIENCE = 60.0


class Whole(Morgue):
    """A whole platform, and a client that publishes tasks to it as any Celery client does."""

    def publish(self, task: str, *, queue: str = "tasks.normal", priority: int = 4, **kwargs: Any) -> str:
        run_id = str(uuid4())
        headers = {"id": run_id, "task": task, "root_id": run_id, "retries": 0, "lang": "py"}
        with pika.BlockingConnection(pika.URLParameters(self.settings.broker_url.get_secret_value())) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            properties = pika.BasicProperties(
                headers=headers,
                content_type="application/json",
                content_encoding="utf-8",
                priority=priority,
                delivery_mode=2,
            )
            channel.basic_publish("tasks", queue, json.dumps([[], kwargs, {}]).encode(), properties, mandatory=True)
        return run_id

    def until_dead(self, run_id: str) -> None:
        names = ["task.failed", "task.dead_lettered"]
        eventually(lambda: [event.name for event in self.events(run_id)][-2:] == names, seconds=PATIENCE)


@pytest.fixture(scope="module")
def settings(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The processes, up until the last test of this file is done."""
    directory = tmp_path_factory.mktemp("whole")
    sandbox = create_sandbox(servers.model_copy(update={"state_dir": directory}), label="dlq")
    made = servers.model_copy(update=sandbox.settings_update())
    database.migrate(made)
    topology.apply(made)
    with ExitStack() as stack:
        stack.callback(sandbox.drop)
        mailbox = stack.enter_context(Mailbox(directory / "mail"))
        environment = {
            "LEDGERQ_SMTP_URL": mailbox.url,
            "LEDGERQ_ALERT_EMAIL": "ops@example.org",
            "LEDGERQ_ALERT_WINDOW_SECONDS": "86400",
        }
        for command in ("ingest", "dispatch"):
            stack.enter_context(Process(command, made, log=directory / f"{command}.log", **environment))
        for tier in ("normal", "high"):
            worker = _worker(tier, made, directory / f"{tier}.log", environment)
            stack.callback(worker.wait)
            stack.callback(worker.kill)
        yield made.model_copy(update={"smtp_url": SecretStr(mailbox.url), "state_dir": directory})


def _worker(tier: str, settings: Settings, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    urls = {
        "LEDGERQ_BROKER_URL": settings.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            (sys.executable, "-m", "tests.tasks.dead_letters.hosted", tier),
            env={**os.environ, **urls, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


@pytest.fixture
def whole(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    monkeypatch.setenv("LEDGERQ_BROKER_URL", settings.broker_url.get_secret_value())
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", settings.database_url.get_secret_value())
    engine = database.engine(settings, name="test", connections=2)
    with EventStore(settings.database_url.get_secret_value(), name="test") as store:
        yield Whole(settings, store, engine)
    engine.dispose()


def test_a_task_that_died_is_mended_replayed_and_succeeds(whole: Whole, tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    dead = whole.publish("tomb.fragile", priority=3, path=str(note), whole=False)
    whole.until_dead(dead)
    assert whole.listed("--task", "tomb.fragile") == [dead]
    (new_run,) = whole.replay("--task", "tomb.fragile", "--set", "whole=true").values()

    def outcome() -> bool:
        (row,) = whole.rows(f"select * from analytics.fct_replayed_runs where run_id = '{dead}'")  # noqa: S608
        return bool(row["outcome"] == "succeeded")

    eventually(outcome, seconds=PATIENCE, every=0.3)
    told = json.loads(note.read_text())
    assert (told["priority"], told["retries"]) == (3, 0)
    assert [name for name in [*told["headers"], *told["known"]] if "death" in name] == []
    (batch,) = whole.rows("select * from analytics.fct_replays")
    assert (batch["letter_count"], batch["succeeded_count"], batch["open_count"]) == (1, 1, 0)
    assert [event.name for event in whole.events(new_run)] == [
        "task.requested",
        "task.published",
        "task.started",
        "task.succeeded",
    ]


def test_a_hopeless_task_replayed_again_and_again_by_a_filter_stops(whole: Whole) -> None:
    died = [whole.publish("tomb.hopeless")]
    while True:
        whole.until_dead(died[-1])
        replayed = whole.replay("--task", "tomb.hopeless")
        if not replayed:
            break
        died += replayed.values()
        assert len(died) < 10
    assert len(died) == 1 + GENERATION_LIMIT
    (letter,) = whole.rows(
        "select * from analytics.fct_dead_letters where task = 'tomb.hopeless' and letter_state = 'open'"
    )
    assert (letter["run_id"], letter["generation"]) == (died[-1], GENERATION_LIMIT)
    assert {row["correlation_id"] for row in whole.rows(_HOPELESS)} == {died[0]}


def test_people_get_one_mail_about_many_failures_of_a_critical_task(whole: Whole) -> None:
    failed = [whole.publish("tomb.vital", number=number) for number in range(5)]
    for run in failed:
        whole.until_dead(run)

    def alerts() -> list[dict[str, Any]]:
        return whole.rows("select * from analytics.fct_task_runs where task = 'send_failure_alert'")

    eventually(lambda: [row["state"] for row in alerts()] == ["succeeded"], seconds=PATIENCE, every=0.3)
    mails = [mail.read_bytes() for mail in (whole.settings.state_dir / "mail").rglob("*") if mail.is_file()]
    (vital,) = [mail for mail in mails if b"tomb.vital" in mail]
    assert b"ValueError" in vital
    assert any(run.encode() in vital for run in failed)


_HOPELESS = "select correlation_id from analytics.fct_task_runs where task = 'tomb.hopeless'"

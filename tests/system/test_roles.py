"""Every process as the user of its role, and a small fleet that all of them have a hand in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import pika
import pytest

from domain.tier import Tier
from infra.broker.management import ManagementApi
from infra.broker.roles import user_of
from infra.local.platform import Platform, platform
from infra.local.run import SAMPLE_PACE
from infra.settings import Settings
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SEND_WITH_CELERY = (
    "from tasks.sample.work import stock_task; stock_task.apply_async((), {'number': 7}, queue='tasks.low')"
)
STARTED = ("session.started", "--data", '{"session_id": "s-1", "license_id": "l-1"}')
ISSUED = ("license.issued", "--data", '{"license_id": "l-1", "valid_until": "2099-01-01T00:00:00Z"}')


class Played(NamedTuple):
    """The platform after a small fleet, and what its report said."""

    built: Platform
    report: str


def did(built: Platform, role: str, *command: str) -> str:
    """What a program says that has a role's login; it has to succeed."""
    process = subprocess.Popen(
        (sys.executable, *command),
        env={**built.environment, **built.login_of(role)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        while process.poll() is None:
            built.supervisor.look()
            time.sleep(0.05)
        said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def ledgerq(built: Platform, role: str, *arguments: str) -> str:
    return did(built, role, "-m", "infra.cli", *arguments)


@pytest.fixture(scope="module")
def played(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    settings = servers.model_copy(update={"state_dir": tmp_path_factory.mktemp("roles")})
    with platform(settings, label="roles", tell=lambda _: None, pace=SAMPLE_PACE) as built:
        built.start()
        built.wait_until_ready()
        for event in (ISSUED, STARTED):
            ledgerq(built, "emitter", "emit", *event)
        did(built, "client", "-c", SEND_WITH_CELERY)
        publish(built, "operator", "tasks", "tasks.normal", b'[["never')
        publish(built, "emitter", "events", "session.heartbeat", b"{")
        for tier in Tier:
            kwargs = json.dumps({"failures": 1})  # once through the delay ladder
            ledgerq(built, "operator", "task", "run", "sample.flaky", "--kwargs", kwargs, "--tier", tier.value)
        yield Played(built, ledgerq(built, "operator", "report", "--wait", "60"))


def publish(built: Platform, role: str, exchange: str, key: str, body: bytes) -> None:
    url = built.login_of(role)["LEDGERQ_BROKER_URL"]
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, body, pika.BasicProperties(content_type="application/json"))


def depth(built: Platform, queue: str) -> int:
    url = built.login_of("operator")["LEDGERQ_BROKER_URL"]
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


def test_with_the_rights_of_its_role_every_process_does_its_work(played: Played) -> None:
    assert "It balances" in played.report
    told = {name: played.report.count(name) for name in ("session.started", "task.retry_scheduled", "task.rejected")}
    assert 0 not in told.values(), played.report
    assert "ingest.message_dead_lettered" in played.report
    assert [depth(played.built, tier.queue) for tier in Tier] == [0] * len(Tier)
    assert depth(played.built, "ingest.dead") == 1


def test_every_connection_is_the_user_of_its_process_and_says_whose_it_is(played: Played) -> None:
    api = ManagementApi(played.built.settings)

    def users() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for connection in api.get(f"vhosts/{api.vhost}/connections"):
            name = connection["client_properties"]["connection_name"].split()
            found.setdefault(name[1], set()).add(connection["user"])
        return found

    wanted = {role: {user_of(role, vhost=api.vhost)} for role in ("ingest", "dispatch", "worker")}
    wanted["monitor"] = {user_of("monitoring", vhost=api.vhost)}
    eventually(lambda: users() == wanted, seconds=30)


def test_every_consumer_says_which_process_it_is(played: Played) -> None:
    api = ManagementApi(played.built.settings)

    def tags() -> dict[str, str]:
        return {each["queue"]["name"]: each["consumer_tag"] for each in api.get(api.of_vhost("consumers"))}

    found = eventually(lambda: len(told := tags()) == len(Tier) + 2 and told, seconds=30)
    assert isinstance(found, dict)
    assert {queue: tag.partition("@")[0].removeprefix("ahead:") for queue, tag in found.items()} == {
        "ingest": "ingest",
        "dead.record": "ingest",
        **{tier.queue: tier.value for tier in Tier},
    }


def test_an_operator_fills_the_dead_letters_again_after_purging_them(played: Played) -> None:
    url = played.built.login_of("operator")["LEDGERQ_BROKER_URL"]
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        assert connection.channel().queue_purge("dead").method.message_count > 0
    ledgerq(played.built, "operator", "dlq", "restore")
    assert depth(played.built, "dead") > 0


def test_an_operator_reconciles(played: Played) -> None:
    ledgerq(played.built, "operator", "reconcile")


def test_nobody_was_refused_anything(played: Played) -> None:
    logs = {path.name: path.read_text() for path in played.built.directory.glob("*.log")}
    assert len(logs) == len(Tier) + 5
    assert [name for name, log in logs.items() if "ACCESS_REFUSED" in log] == []

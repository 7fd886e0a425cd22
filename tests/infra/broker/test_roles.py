"""What each role may do, and what it is refused: tried with its own login on the real broker."""

from __future__ import annotations

import re
from typing import Any

import pika
import pytest
from celery import Celery
from kombu import Consumer
from pydantic import SecretStr

from domain.messages import LIFECYCLE, MESSAGES
from infra.broker.errors import BrokerRefusedError
from infra.broker.management import ManagementApi
from infra.broker.passwords import login_url, new_password
from infra.broker.roles import ROLE, ROLES, user_of
from infra.local.sandbox import Sandbox
from infra.settings import Settings
from tests.infra.broker.intruder import allowed
from tests.infra.broker.virtual_host import VirtualHost
from tests.waiting import eventually

LADDER = {"publish to delay.00", "publish to delay.125ms"}
SERVICES = {"publish session.started", "publish license.issued", "publish task.requested"}


def out_of(*queues: str) -> set[str]:
    return {f"{verb} {queue}" for verb in ("take from", "purge") for queue in queues}


MAY = {
    "emitter": SERVICES,
    "client": {"publish to tasks"},
    "ingest": {"publish ingest.watermark", "publish to ingest.dead", *out_of("ingest", "dead.record")},
    "dispatch": {"publish to tasks"},
    "worker": {"publish task.lifecycle", "publish to tasks", *LADDER, *out_of("tasks.critical", "tasks.low")},
    "scheduler": set(),
    "operator": {
        *SERVICES,
        *LADDER,
        *("publish to tasks", "publish to a queue by its name"),
        *out_of("ingest", "ingest.dead", "dead", "dead.record", "unrouted", "tasks.critical", "tasks.low", "delay.16"),
    },
    "tools": set(),
    "monitoring": set(),
}
"""All that each may do; whatever else is tried has to be refused."""


@pytest.fixture(scope="module")
def logins(sandbox: Sandbox) -> dict[str, str]:
    """Broker URLs by role."""
    return sandbox.make_logins()


@pytest.mark.parametrize("role", [role.name for role in ROLES])
def test_a_role_may_do_what_its_process_does_and_nothing_else(
    logins: dict[str, str], virtual_host: VirtualHost, role: str
) -> None:
    del virtual_host
    assert allowed(logins[role]) == MAY[role]


def test_an_emitter_is_told_what_it_may_not_say(logins: dict[str, str], virtual_host: VirtualHost) -> None:
    with pika.BlockingConnection(pika.URLParameters(logins["emitter"])) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(
            pika.exceptions.ChannelClosedByBroker, match=r"topic 'task\.lifecycle' in exchange 'events'"
        ):
            channel.basic_publish("events", "task.lifecycle", b"{}")
    assert virtual_host.depth("ingest") == 0


def test_the_keys_of_emitters_are_those_of_what_services_tell() -> None:
    of_services = MESSAGES.keys() - LIFECYCLE.keys() - {"ingest.watermark"}
    pattern = re.compile(ROLE["emitter"].keys["events"])
    assert {key for key in (*MESSAGES, "task.lifecycle") if pattern.search(key)} == of_services


@pytest.fixture
def as_role(settings: Settings, logins: dict[str, str]) -> dict[str, ManagementApi]:
    """The management API by role."""
    return {
        role: ManagementApi(settings.model_copy(update={"broker_url": SecretStr(url)})) for role, url in logins.items()
    }


def refused(api: ManagementApi, method: str, path: str, body: dict[str, object] | None = None) -> bool:
    with pytest.raises(BrokerRefusedError, match=r"40[01] |403 "):
        api.call(method, path, body)
    return True


@pytest.mark.parametrize("role", ["emitter", "client", "ingest", "dispatch", "worker", "scheduler", "tools"])
def test_a_process_has_no_business_in_the_management_ui(as_role: dict[str, ManagementApi], role: str) -> None:
    assert refused(as_role[role], "GET", "overview")


def test_monitoring_sees_queues_and_nodes_and_touches_neither_messages_nor_queues(
    as_role: dict[str, ManagementApi], virtual_host: VirtualHost
) -> None:
    api = as_role["monitoring"]
    virtual_host.channel.basic_publish("", "dead", b"still there")
    assert "dead" in {queue["name"] for queue in api.get(api.of_vhost("queues"))}
    assert api.get("nodes")
    take = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    assert refused(api, "POST", f"{api.of_vhost('queues', 'dead')}/get", take)
    assert refused(api, "DELETE", f"{api.of_vhost('queues', 'dead')}/contents")
    say = {"routing_key": "session.started", "payload": "{}", "payload_encoding": "string", "properties": {}}
    assert refused(api, "POST", f"{api.of_vhost('exchanges', 'events')}/publish", say)
    assert virtual_host.take("dead").body == b"still there"


@pytest.mark.parametrize("role", ["monitoring", "operator"])
def test_nobody_changes_the_topology_in_the_management_ui(as_role: dict[str, ManagementApi], role: str) -> None:
    api = as_role[role]
    assert refused(api, "PUT", api.of_vhost("queues", "intruder"), {"durable": True})
    assert refused(api, "DELETE", api.of_vhost("queues", "dead"))
    assert refused(api, "PUT", api.of_vhost("exchanges", "intruder"), {"type": "fanout"})
    assert refused(api, "DELETE", api.of_vhost("exchanges", "events"))
    policy: dict[str, object] = {"pattern": ".*", "definition": {"max-length": 1}}
    assert refused(api, "PUT", api.of_vhost("policies", "intruder"), policy)
    assert refused(api, "PUT", f"users/{user_of(role, vhost=api.vhost)}", {"password": "x", "tags": "administrator"})


def test_an_operator_purges_in_the_management_ui(as_role: dict[str, ManagementApi], virtual_host: VirtualHost) -> None:
    api = as_role["operator"]
    virtual_host.channel.basic_publish("", "unrouted", b"a mistake")
    eventually(lambda: virtual_host.depth("unrouted") == 1)  # published without a confirm: it may still be on its way
    api.call("DELETE", f"{api.of_vhost('queues', 'unrouted')}/contents")
    eventually(lambda: virtual_host.depth("unrouted") == 0)


def test_celerys_own_tools_hear_what_a_worker_tells_them(logins: dict[str, str], virtual_host: VirtualHost) -> None:
    heard: list[dict[str, Any]] = []
    try:
        with (
            Celery(broker=logins["tools"], set_as_current=False) as listening,
            Celery(broker=logins["worker"], set_as_current=False) as telling,
            listening.connection_for_read() as ear,
            telling.connection_for_write() as mouth,
        ):
            receiver = listening.events.Receiver(ear, handlers={"*": heard.append})
            consumer = receiver.get_consumers(lambda queues, **how: Consumer(ear, queues, **how), ear.channel())[0]
            with consumer, telling.events.Dispatcher(mouth, hostname="low@here") as dispatcher:
                dispatcher.send("worker-online")
                ear.drain_events(timeout=10)
    finally:
        virtual_host.channel.exchange_delete("celeryev")
    assert [(event["type"], event["hostname"]) for event in heard] == [("worker-online", "low@here")]


def test_a_login_counts_in_its_own_virtual_host_only(settings: Settings) -> None:
    url = login_url(settings, "worker", vhost="elsewhere", password=new_password())
    assert "elsewhere.worker:" in url
    assert url.rpartition("@")[2] == settings.broker_url.get_secret_value().rpartition("@")[2]
    assert user_of("worker", vhost="/") == "ledgerq-worker"

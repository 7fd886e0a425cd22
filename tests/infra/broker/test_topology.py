from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pika
import pytest

from domain.tier import Tier
from infra.broker.definitions import definitions
from infra.broker.errors import TopologyDriftError
from infra.broker.publisher import Outcome, OutgoingMessage, Publisher
from infra.broker.topology import EVENTS, POLICIES, TASKS, TOPOLOGY, apply
from infra.doctor.standing import HARMFUL
from infra.settings import Settings
from tests.infra.broker.virtual_host import VirtualHost
from tests.waiting import eventually

DEFINITIONS = Path(__file__).parents[3] / "rabbitmq" / "definitions.json"
SOON = timedelta(seconds=10)


def message(
    routing_key: str, *, exchange: str = TASKS, body: bytes = b"{}", priority: int | None = None
) -> OutgoingMessage:
    return OutgoingMessage(exchange=exchange, routing_key=routing_key, body=body, priority=priority)


def test_the_definitions_file_is_the_topologys() -> None:
    assert json.loads(DEFINITIONS.read_text()) == definitions(), "run: ledgerq topology export"


def test_the_definitions_hold_nobodys_password() -> None:
    users = definitions()["users"]
    assert users
    assert {user["password_hash"] for user in users} == {""}
    assert not any("password" in user for user in users)


def test_every_queue_has_one_policy_that_says_what_it_is_for() -> None:
    found = {
        queue.name: [policy.name for policy in POLICIES if re.search(policy.pattern, queue.name)]
        for queue in TOPOLOGY.queues
    }
    assert {len(policies) for policies in found.values()} == {1}
    assert {policy for policies in found.values() for policy in policies} == {policy.name for policy in POLICIES}
    assert (found["tasks.low"], found["delay.125ms"], found["dead"]) == (["tier"], ["delay ladder"], ["for people"])


def test_no_policy_decides_where_a_message_ends() -> None:
    assert not {key for policy in POLICIES for key in policy.definition} & HARMFUL


def test_every_binding_joins_what_there_is() -> None:
    exchanges = {exchange.name for exchange in TOPOLOGY.exchanges}
    queues = {queue.name for queue in TOPOLOGY.queues}

    for binding in TOPOLOGY.bindings:
        assert binding.source in exchanges
        assert binding.destination in (queues if binding.kind == "queue" else exchanges)
    assert {exchange.alternate for exchange in TOPOLOGY.exchanges} - {None} <= exchanges
    assert {queue.arguments.get("x-dead-letter-exchange") for queue in TOPOLOGY.queues} - {None} <= exchanges


def test_the_definitions_import_is_what_apply_declares(virtual_host: VirtualHost, imported: VirtualHost) -> None:
    assert imported.api("GET", f"bindings/{imported.name()}") != []
    assert standing(imported) == standing(virtual_host)


def test_a_tiers_queue_serves_the_highest_priority_first(
    publisher: Publisher, virtual_host: VirtualHost, tier: Tier
) -> None:
    priorities = list(range(tier.max_priority + 1)) * 2
    Random(7).shuffle(priorities)

    publisher.publish([message(tier.queue, priority=priority) for priority in priorities], timeout=SOON)

    served = [virtual_host.take(tier.queue).properties.priority for _ in priorities]
    assert served == sorted(priorities, reverse=True)


def test_a_priority_above_the_tiers_counts_as_its_highest(publisher: Publisher, virtual_host: VirtualHost) -> None:
    publisher.publish(
        [message("tasks.low", priority=2, body=b"first"), message("tasks.low", priority=10)], timeout=SOON
    )

    assert virtual_host.take("tasks.low").body == b"first"


@pytest.mark.parametrize("keeper", ["dead", "dead.record"])
def test_a_rejected_task_is_kept_with_its_priority_and_the_reason(
    publisher: Publisher, virtual_host: VirtualHost, keeper: str
) -> None:
    publisher.publish([message("tasks.high", priority=7, body=b"doomed")], timeout=SOON)

    virtual_host.reject("tasks.high")

    dead = virtual_host.take(keeper)
    assert dead.body == b"doomed"
    assert dead.properties.priority == 7
    assert dead.routing_key == "tasks.high"
    [death] = dead.properties.headers["x-death"]
    assert (death["reason"], death["queue"]) == ("rejected", "tasks.high")


@pytest.mark.parametrize("exchange", [EVENTS, TASKS])
def test_what_no_queue_is_bound_for_is_kept_and_its_publisher_is_told(
    publisher: Publisher, virtual_host: VirtualHost, exchange: str
) -> None:
    virtual_host.channel.queue_unbind("ingest", EVENTS, "#")

    [told] = publisher.publish([message("no.such", exchange=exchange, body=b"lost?")], timeout=SOON)

    assert told.outcome is Outcome.NACKED
    assert "no queue is bound" in told.text
    kept = virtual_host.take("unrouted")
    assert (kept.body, kept.routing_key) == (b"lost?", "no.such")


def test_even_a_client_that_only_asks_for_confirms_is_told(virtual_host: VirtualHost) -> None:
    channel = virtual_host.channel.connection.channel()
    channel.confirm_delivery()

    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish(TASKS, "no.such", b"")


def test_an_event_that_is_rejected_without_a_reason_is_not_lost(
    publisher: Publisher, virtual_host: VirtualHost
) -> None:
    publisher.publish([message("session.started", exchange=EVENTS, body=b"event")], timeout=SOON)

    virtual_host.reject("ingest")

    assert virtual_host.take("ingest.dead").body == b"event"


def test_applying_again_changes_nothing(settings: Settings, publisher: Publisher, virtual_host: VirtualHost) -> None:
    publisher.publish([message("tasks.low")], timeout=SOON)
    before = standing(virtual_host)

    apply(settings)

    assert standing(virtual_host) == before
    assert eventually(lambda: virtual_host.depth("tasks.low")) == 1


def test_what_stands_there_otherwise_is_named_and_left_alone(settings: Settings, drifted: VirtualHost) -> None:
    with pytest.raises(TopologyDriftError) as told:
        apply(settings)

    text = str(told.value)
    assert "queue dead has x-max-length '5', wanted is '10000'" in text
    assert "exchange tasks has type 'fanout', wanted is 'topic'" in text
    assert drifted.depth("dead") == 0  # it still stands
    assert drifted.depth("dead.record") == 0  # and what was missing has been declared


@pytest.fixture(params=list(Tier))
def tier(request: pytest.FixtureRequest) -> Tier:
    found: Tier = request.param
    return found


@pytest.fixture
def imported(virtual_host: VirtualHost, settings: Settings) -> Iterator[VirtualHost]:
    """Another virtual host, made from the definitions file as an operator would."""
    name = f"{virtual_host.name()}-imported"
    user = pika.URLParameters(settings.broker_url.get_secret_value()).credentials.username
    virtual_host.api("PUT", f"vhosts/{name}")
    virtual_host.api("PUT", f"permissions/{name}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
    virtual_host.api("POST", f"definitions/{name}", definitions())
    url = settings.broker_url.get_secret_value().rpartition("/")[0] + f"/{name}"
    other = VirtualHost(settings.model_copy(update={"broker_url": type(settings.broker_url)(url)}))
    try:
        yield other
    finally:
        other.close()
        virtual_host.api("DELETE", f"vhosts/{name}")


@pytest.fixture
def drifted(settings: Settings, virtual_host: VirtualHost) -> Iterator[VirtualHost]:
    """A virtual host in which two things stand otherwise and one is missing."""
    channel = virtual_host.channel
    for queue in ("dead", "dead.record"):
        channel.queue_delete(queue)
    channel.queue_declare("dead", durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 5})
    channel.exchange_delete(TASKS)
    channel.exchange_declare(TASKS, "fanout", durable=True)
    yield virtual_host
    channel.queue_delete("dead")
    channel.exchange_delete(TASKS)
    apply(settings)


def standing(host: VirtualHost) -> dict[str, set[str]]:
    """What stands in a virtual host, as its management API tells."""

    def told(kind: str, *fields: str) -> set[str]:
        parts = host.api("GET", f"{kind}/{host.name()}")
        return {json.dumps([part[field] for field in fields], sort_keys=True) for part in parts}

    return {
        "exchanges": told("exchanges", "name", "type", "durable", "arguments"),
        "queues": told("queues", "name", "durable", "arguments"),
        "bindings": told("bindings", "source", "destination", "destination_type", "routing_key", "arguments"),
    }

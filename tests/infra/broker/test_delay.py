from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tier import Tier
from infra.broker.delay import EIGHTH, FINE_BELOW, MAX_DELAY, Route, delay_route, ladder
from infra.broker.headers import clean_headers
from infra.broker.publisher import OutgoingMessage, Publisher
from tests.infra.broker.virtual_host import Taken, VirtualHost
from tests.waiting import eventually

SOON = timedelta(seconds=10)
TARGETS = {tier.queue for tier in Tier}


@given(seconds=st.integers(1, int(MAX_DELAY.total_seconds())), tier=st.sampled_from(Tier))
def test_the_way_down_the_ladder_takes_the_delay_and_ends_at_the_queue(seconds: int, tier: Tier) -> None:
    assert walk(delay_route(timedelta(seconds=seconds), tier.queue)) == (seconds, tier.queue)


@given(eighths=st.integers(1, FINE_BELOW // EIGHTH - 1), tier=st.sampled_from(Tier))
def test_the_way_of_a_short_delay_takes_its_eighths_of_a_second(eighths: int, tier: Tier) -> None:
    assert walk(delay_route(eighths * EIGHTH, tier.queue)) == (eighths / 8, tier.queue)


@given(st.timedeltas(timedelta(microseconds=1), MAX_DELAY))
def test_no_message_is_early_nor_later_than_its_unit(delay: timedelta) -> None:
    waited, _queue = walk(delay_route(delay, "tasks.low"))
    late = timedelta(seconds=waited) - delay
    assert timedelta(0) <= late < (EIGHTH if delay < FINE_BELOW else timedelta(seconds=1))


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        pytest.param(timedelta(microseconds=1), 0.125, id="the shortest"),
        pytest.param(timedelta(seconds=1), 1, id="whole seconds are kept"),
        pytest.param(timedelta(seconds=1, microseconds=1), 1.125, id="never early"),
        pytest.param(timedelta(seconds=9.99), 10, id="eighths that are a whole second"),
        pytest.param(timedelta(seconds=10.01), 11, id="longer ones are whole seconds"),
        pytest.param(timedelta(seconds=59.2), 60, id="rounded up"),
        pytest.param(MAX_DELAY, 131_071, id="the longest"),
    ],
)
def test_delays_are_rounded_up(delay: timedelta, seconds: float) -> None:
    assert walk(delay_route(delay, "tasks.low")) == (seconds, "tasks.low")


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(seconds=-5)])
def test_no_delay_goes_directly_to_the_tier(delay: timedelta) -> None:
    assert delay_route(delay, "tasks.low") == ("tasks", "tasks.low")


def test_a_delay_longer_than_the_ladder_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than the ladder's 1 day, 12:24:31"):
        delay_route(MAX_DELAY + timedelta(microseconds=1), "tasks.low")


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(seconds=5)])
def test_a_queue_no_delay_leads_to_is_refused(delay: timedelta) -> None:
    with pytest.raises(ValueError, match=r"allowed are tasks\.critical"):
        delay_route(delay, "tasks.urgent")


@pytest.mark.parametrize("seconds", [0.25, 0.875, 1, 1.375, 3])
def test_a_delayed_message_comes_to_its_queue_when_its_time_has_come(
    publisher: Publisher, virtual_host: VirtualHost, seconds: float
) -> None:
    began = time.monotonic()

    publish(publisher, seconds, headers={"id": "run-1", "timelimit": [None, 1.5]})

    taken = virtual_host.take("tasks.high")
    assert seconds <= time.monotonic() - began < seconds + 5
    assert taken.properties.priority == 7
    assert taken.properties.headers["id"] == "run-1"
    assert all(virtual_host.depth(tier.queue) == 0 for tier in Tier)


def test_a_message_can_be_delayed_again(publisher: Publisher, virtual_host: VirtualHost) -> None:
    publish(publisher, 1)
    first = virtual_host.take("tasks.high")
    assert "x-death" in first.properties.headers

    publish(publisher, 1, headers=clean_headers(first.properties.headers))

    again: Taken = virtual_host.take("tasks.high")
    assert again.properties.headers["x-death"][0]["count"] == 1


def test_a_delayed_message_that_dies_is_known_by_its_queue(publisher: Publisher, virtual_host: VirtualHost) -> None:
    publish(publisher, 1)

    virtual_host.reject("tasks.high")

    assert virtual_host.take("dead").routing_key == "tasks.high"


def test_what_finds_no_way_out_of_the_ladder_is_kept(publisher: Publisher, virtual_host: VirtualHost) -> None:
    key = ".".join("0" * 16 + "1") + ".tasks.gone"
    [told] = publisher.publish([OutgoingMessage(exchange="delay.00", routing_key=key, body=b"stray")], timeout=SOON)

    assert told.confirmed
    assert virtual_host.take("unrouted").body == b"stray"
    assert eventually(lambda: virtual_host.depth("delay.00") == 0)


def publish(publisher: Publisher, seconds: float, headers: dict[str, object] | None = None) -> None:
    exchange, key = delay_route(timedelta(seconds=seconds), "tasks.high")
    message = OutgoingMessage(exchange=exchange, routing_key=key, body=b"{}", priority=7, headers=headers or {})
    [told] = publisher.publish([message], timeout=SOON)
    assert told.confirmed


def walk(route: Route) -> tuple[float, str]:
    """Follow a message through the bindings: seconds waited, and the queue it ends in."""
    topology = ladder()
    queues = {queue.name: queue.arguments for queue in topology.queues}
    waited, exchange = 0.0, route.exchange
    while True:
        [binding] = [
            binding
            for binding in topology.bindings
            if binding.source == exchange and matches(binding.key.split("."), route.routing_key.split("."))
        ]
        if binding.destination in TARGETS:
            return waited, binding.destination
        if binding.kind == "exchange":
            exchange = binding.destination
        else:
            waited += int(queues[binding.destination]["x-message-ttl"]) / 1000
            exchange = str(queues[binding.destination]["x-dead-letter-exchange"])


def matches(pattern: list[str], words: list[str]) -> bool:
    """Whether a topic pattern takes a key (AMQP 0-9-1 §3.1.3.3); `#` only at the end, as the ladder has it."""
    if pattern[-1] == "#":
        pattern, words = pattern[:-1], words[: len(pattern) - 1]
    return len(pattern) == len(words) and all(part in ("*", word) for part, word in zip(pattern, words, strict=True))

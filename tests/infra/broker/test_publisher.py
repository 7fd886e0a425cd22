from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from struct import pack
from uuid import uuid4

import pytest

from infra.broker.errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    ForkedPublisherError,
    PublishTimeoutError,
)
from infra.broker.publisher import Outcome, OutgoingMessage, Publisher
from infra.settings import Settings
from tests.infra.broker.relay import Relay
from tests.infra.broker.virtual_host import VirtualHost
from tests.waiting import eventually

SOON = timedelta(seconds=10)


def message(number: int = 0, **changes: object) -> OutgoingMessage:
    given = {"exchange": "tasks", "routing_key": "tasks.low", "body": b"{}", "message_id": f"m-{number}"}
    return OutgoingMessage(**{**given, **changes})  # type: ignore[arg-type]


def test_every_property_arrives(publisher: Publisher, virtual_host: VirtualHost) -> None:
    headers = {
        "text": "ü",
        "none": None,
        "list": [None, 2.0, {"a": True}],  # the client that reads this cuts floats
        "long": 2**40,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    sent = message(
        body="ümläut".encode(),
        content_type="text/plain",
        content_encoding="utf-8",
        headers=headers,
        priority=2,
        correlation_id="c",
        reply_to="r",
        type="t",
        expiration=timedelta(hours=1),
    )

    assert [told.outcome for told in publisher.publish([sent], timeout=SOON)] == [Outcome.CONFIRMED]

    taken = virtual_host.take("tasks.low")
    properties = taken.properties
    assert taken.body == sent.body
    assert properties.headers == headers
    assert (properties.content_type, properties.content_encoding) == ("text/plain", "utf-8")
    assert (properties.message_id, properties.correlation_id, properties.reply_to) == ("m-0", "c", "r")
    assert (properties.type, properties.priority, properties.expiration) == ("t", 2, "3600000")
    assert properties.delivery_mode == 2


def test_a_body_larger_than_a_frame_arrives_whole(publisher: Publisher, virtual_host: VirtualHost) -> None:
    body = os.urandom(1_000_000)

    publisher.publish([message(body=body), message(body=b"")], timeout=SOON)

    assert virtual_host.take("tasks.low").body == body
    assert virtual_host.take("tasks.low").body == b""


def test_many_messages_arrive_in_their_order(publisher: Publisher, virtual_host: VirtualHost) -> None:
    told = publisher.publish([message(number) for number in range(500)], timeout=SOON)

    assert {confirmation.outcome for confirmation in told} == {Outcome.CONFIRMED}
    assert [virtual_host.take("tasks.low").properties.message_id for _ in range(500)] == [f"m-{n}" for n in range(500)]


def test_a_batch_is_sent_before_its_first_confirm_is_awaited(relay: Relay) -> None:
    with Publisher(relay.settings, role="test") as publisher, ThreadPoolExecutor(1) as thread:
        publisher.publish([message()], timeout=SOON)
        relay.withhold_answers()
        waiting = thread.submit(publisher.publish, [message(body=b"number %d;" % n) for n in range(300)], timeout=SOON)

        eventually(lambda: b"number 299;" in relay.sent)
        assert not waiting.done()
        relay.release_answers()

        assert all(told.confirmed for told in waiting.result(timeout=10))


def test_a_returned_message_is_told_from_its_neighbors(publisher: Publisher) -> None:
    nowhere = {"exchange": "", "routing_key": "no.such.queue"}

    told = publisher.publish([message(1), message(2, **nowhere), message(3), message(2, **nowhere)], timeout=SOON)

    assert [found.outcome for found in told] == [
        Outcome.CONFIRMED,
        Outcome.RETURNED,
        Outcome.CONFIRMED,
        Outcome.RETURNED,
    ]
    assert told[1].text == "312 NO_ROUTE"
    assert not told[1].confirmed


def test_a_refused_message_is_told_from_its_neighbors(publisher: Publisher) -> None:
    told = publisher.publish([message(1), message(2, routing_key="no.such"), message(3)], timeout=SOON)

    assert [found.outcome for found in told] == [Outcome.CONFIRMED, Outcome.NACKED, Outcome.CONFIRMED]


def test_a_missing_exchange_is_refused_by_name_and_the_next_batch_goes_through(publisher: Publisher) -> None:
    with pytest.raises(BrokerRefusedError, match=r"no exchange 'no\.such'"):
        publisher.publish([message(exchange="no.such")], timeout=SOON)

    assert publisher.publish([message()], timeout=SOON)[0].confirmed


def test_nothing_to_publish_needs_no_broker(settings: Settings) -> None:
    with Publisher(away(settings), role="test") as publisher:
        assert publisher.publish([], timeout=SOON) == []


def test_a_broker_that_is_away_is_named_without_its_password(settings: Settings) -> None:
    with Publisher(away(settings), role="test") as publisher:
        with pytest.raises(BrokerUnreachableError, match=r"127\.0\.0\.1:1/") as told:
            publisher.publish([message()], timeout=SOON)
        assert ":***@" in str(told.value)


def test_a_publisher_survives_its_connection_being_closed(settings: Settings, virtual_host: VirtualHost) -> None:
    role = f"closed-{uuid4().hex}"
    with Publisher(settings, role=role) as publisher:
        publisher.publish([message(1)], timeout=SOON)
        virtual_host.api("DELETE", eventually(lambda: virtual_host.connection_named(role)))

        assert publisher.publish([message(2)], timeout=SOON)[0].confirmed
    assert [virtual_host.take("tasks.low").properties.message_id for _ in range(2)] == ["m-1", "m-2"]


def test_an_idle_publisher_that_lost_its_connection_keeps_quiet_and_comes_back(relay: Relay) -> None:
    with Publisher(relay.settings, role="test") as publisher:
        publisher.publish([message(1)], timeout=SOON)
        relay.cut()

        publisher.keep_alive()

        assert publisher.publish([message(2)], timeout=SOON)[0].confirmed


def test_a_publisher_that_stays_connected_is_before_its_first_message_and_again_after_a_cut(relay: Relay) -> None:
    with Publisher(relay.settings, role="early") as publisher:
        for logins in (1, 2):
            publisher.stay_connected(timeout=SOON)
            publisher.stay_connected(timeout=SOON)
            assert relay.sent.count(b"ledgerq early") == logins
            relay.cut()
        publisher.stay_connected(timeout=SOON)
        assert publisher.publish([message(1)], timeout=SOON)[0].confirmed
        assert relay.sent.count(b"ledgerq early") == 3


def test_a_connection_cut_amid_a_batch_is_a_fault_and_the_next_batch_goes_through(relay: Relay) -> None:
    with Publisher(relay.settings, role="test") as publisher, ThreadPoolExecutor(1) as thread:
        publisher.publish([message()], timeout=SOON)
        relay.withhold_answers()
        waiting = thread.submit(publisher.publish, [message(body=b"last words")], timeout=SOON)
        eventually(lambda: b"last words" in relay.sent)

        relay.cut()

        with pytest.raises(BrokerUnreachableError):
            waiting.result(timeout=10)
        relay.release_answers()
        assert publisher.publish([message()], timeout=SOON)[0].confirmed


def test_confirms_that_do_not_come_are_not_waited_for_without_end(relay: Relay) -> None:
    with Publisher(relay.settings, role="test") as publisher:
        publisher.publish([message()], timeout=SOON)
        relay.withhold_answers()
        began = time.monotonic()

        with pytest.raises(PublishTimeoutError, match="2 of 2 messages not confirmed in time"):
            publisher.publish([message(1), message(2)], timeout=timedelta(seconds=0.5))

        assert time.monotonic() - began < 3
        relay.release_answers()
        assert publisher.publish([message(3)], timeout=SOON)[0].confirmed


def test_an_alarm_is_named_and_bounded_even_when_the_broker_stops_reading(relay: Relay) -> None:
    with Publisher(relay.settings, role="test") as publisher:
        publisher.publish([message()], timeout=SOON)
        relay.say(connection_blocked(b"low on memory"))
        relay.stop_reading()
        large = [message(number, body=bytes(1_000_000)) for number in range(20)]
        began = time.monotonic()

        with pytest.raises(PublishTimeoutError, match="alarm"):
            publisher.publish(large, timeout=timedelta(seconds=2))

        assert 1.9 < time.monotonic() - began < 6


def test_a_broker_that_accepts_and_says_nothing_is_not_waited_for_without_end(relay: Relay) -> None:
    relay.withhold_answers()
    began = time.monotonic()
    with Publisher(relay.settings, role="test") as publisher:
        with pytest.raises(BrokerUnreachableError):
            publisher.publish([message()], timeout=timedelta(seconds=0.5))
        relay.release_answers()

    assert time.monotonic() - began < 5


def test_an_interrupted_batch_leaves_nothing_for_the_next(relay: Relay, interrupted: None) -> None:
    del interrupted
    with Publisher(relay.settings, role="test") as publisher:
        publisher.publish([message()], timeout=SOON)
        relay.withhold_answers()
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(SystemExit, match="stop"):
            publisher.publish([message(number) for number in range(5)], timeout=SOON)
        relay.release_answers()

        told = publisher.publish([message(6), message(7, exchange="", routing_key="no.such.queue")], timeout=SOON)

    assert [found.outcome for found in told] == [Outcome.CONFIRMED, Outcome.RETURNED]


@pytest.mark.parametrize(
    "wrong",
    [{"routing_key": "k" * 256}, {"priority": 256}, {"headers": {"id": object()}}, {"headers": {"x": "x" * 200_000}}],
    ids=["key too long", "priority too high", "header of no type", "headers too large"],
)
def test_what_does_not_fit_into_amqp_is_refused_before_anything_is_sent(
    publisher: Publisher, virtual_host: VirtualHost, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="m-2"):
        publisher.publish([message(1), message(2, **wrong)], timeout=SOON)

    assert virtual_host.depth("tasks.low") == 0
    assert publisher.publish([message()], timeout=SOON)[0].confirmed


def test_a_forked_child_may_not_use_it_and_leaves_the_parents_connection_alone(
    settings: Settings, virtual_host: VirtualHost
) -> None:
    role = f"fork-{uuid4().hex}"
    with Publisher(settings, role=role) as publisher:
        publisher.publish([message(1)], timeout=SOON)
        name = eventually(lambda: virtual_host.connection_named(role))

        assert exit_status_of_child(lambda: publisher.publish([message(2)], timeout=SOON)) == 7

        assert publisher.publish([message(3)], timeout=SOON)[0].confirmed
        assert virtual_host.connection_named(role) == name
    assert virtual_host.depth("tasks.low") == 2


def test_a_forked_child_does_not_hold_the_parents_connection_open(publisher: Publisher) -> None:
    publisher.publish([message(1)], timeout=SOON)
    assert publisher._pipeline is not None
    descriptor = publisher._pipeline._connection.sock.fileno()

    assert exit_status_of_child(lambda: os.fstat(descriptor)) == 7

    os.fstat(descriptor)


def exit_status_of_child(use: Callable[[], object]) -> int:
    """7 if it was refused: by us, or by the kernel for want of an open socket."""
    child = os.fork()
    if child == 0:
        try:
            use()
        except (ForkedPublisherError, OSError):
            os._exit(7)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def connection_blocked(reason: bytes) -> bytes:
    """The frame of ``connection.blocked`` (RabbitMQ documentation, "Blocked Connection Notifications")."""
    payload = pack(">HHB", 10, 60, len(reason)) + reason
    return pack(">BHI", 1, 0, len(payload)) + payload + b"\xce"


def away(settings: Settings) -> Settings:
    url = type(settings.broker_url)("amqp://somebody:secret@127.0.0.1:1/nowhere")
    return settings.model_copy(update={"broker_url": url})


@pytest.fixture
def interrupted() -> Iterator[None]:
    """An alarm clock that raises in the main thread, as a stop signal's handler may."""

    def ring(*_: object) -> None:
        raise SystemExit("stop")

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from infra.broker import emitter as emitting
from infra.broker.emitter import Emitter, Mode, NotEmittedError, new_event
from infra.cloudevents import CloudEvent, decode
from infra.settings import Settings
from tests.infra.broker.virtual_host import Taken, VirtualHost


def heartbeat(number: int = 0) -> CloudEvent:
    return new_event("session.heartbeat", source="/gateway/7", data={"session_id": f"s-{number}"})


def read(taken: Taken) -> list[object]:
    return list(decode(taken.properties.content_type, taken.properties.headers, taken.body))


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
def test_an_emitted_event_waits_for_ingest_as_it_was_in_any_mode(
    emitter: Emitter, virtual_host: VirtualHost, mode: str
) -> None:
    event = heartbeat()

    emitter.emit(event, mode=mode)

    taken = virtual_host.take("ingest")
    assert read(taken) == [event]
    assert (taken.exchange, taken.routing_key) == ("events", "session.heartbeat")
    assert taken.properties.message_id == str(event.unique_id)
    assert taken.properties.delivery_mode == 2


def test_a_batch_is_as_few_messages_as_its_limits_allow(
    emitter: Emitter, virtual_host: VirtualHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitting, "BATCH_EVENTS", 10)
    events = [heartbeat(number) for number in range(25)]

    assert emitter.emit_batch(events) == 3

    assert [found for _ in range(3) for found in read(virtual_host.take("ingest"))] == events


def test_a_batch_is_closed_before_it_grows_too_large(
    emitter: Emitter, virtual_host: VirtualHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitting, "BATCH_BYTES", 1000)
    large = new_event("task.requested", source="/s", data={"task": "t", "kwargs": {"text": "x" * 5000}})
    events = [heartbeat(1), heartbeat(2), large, heartbeat(3)]

    assert emitter.emit_batch(events) == 3

    assert [read(virtual_host.take("ingest")) for _ in range(3)] == [events[:2], [large], events[3:]]


def test_no_events_are_no_messages(emitter: Emitter) -> None:
    assert emitter.emit_batch([]) == 0


def test_events_that_did_not_arrive_are_named(emitter: Emitter, virtual_host: VirtualHost) -> None:
    virtual_host.channel.queue_unbind("ingest", "events", "#")
    virtual_host.channel.queue_bind("ingest", "events", "session.started")
    started = new_event("session.started", source="/g", data={"session_id": "s", "license_id": "l"})
    lost = [heartbeat(1), heartbeat(2)]
    try:
        with pytest.raises(NotEmittedError, match="2 of 3 events did not arrive") as told:
            emitter.emit_all([lost[0], started, lost[1]], mode=Mode.STRUCTURED)
    finally:
        virtual_host.channel.queue_unbind("ingest", "events", "session.started")

    assert told.value.events == tuple(lost)
    assert read(virtual_host.take("ingest")) == [started]
    assert msgspec.json.decode(virtual_host.take("unrouted").body)["id"] == lost[0].id


@pytest.fixture
def emitter(settings: Settings, virtual_host: VirtualHost) -> Iterator[Emitter]:
    del virtual_host
    with Emitter(settings, role="test") as opened:
        yield opened

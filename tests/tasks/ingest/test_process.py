"""Ingest as a process, over the real broker and the real database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pika
import pytest
from pydantic import SecretStr

from infra.broker.emitter import Emitter, Mode
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.cloudevents import CloudEvent, Encoded, encode_batch, encode_structured, new_event
from infra.settings import Settings
from tasks.ingest.isolation import ROUNDS
from tests.infra.broker.relay import Relay
from tests.infra.broker.virtual_host import VirtualHost
from tests.tasks.ingest.deliveries import unchecked
from tests.tasks.ingest.looking import Database
from tests.tasks.ingest.running import IngestProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

Starting = Callable[..., IngestProcess]
MEMORY_MEGABYTES = 150
FAR = "2030-01-01T00:00:00Z"


@pytest.fixture
def mark() -> str:
    """What every id of the test begins with."""
    return uuid4().hex[:10]


def said(message_type: str, /, **data: object) -> CloudEvent:
    return new_event(message_type, source="/tests", data=data)


def issued(license_id: str) -> CloudEvent:
    return said("license.issued", license_id=license_id, valid_until=FAR)


def publish(settings: Settings, *messages: Encoded) -> None:
    outgoing = [
        OutgoingMessage(
            exchange="events",
            routing_key="tests",
            body=each.body,
            content_type=each.content_type,
            headers=each.headers,
            message_id=str(number),
        )
        for number, each in enumerate(messages)
    ]
    with Publisher(settings, role="test") as publisher:
        confirmations = publisher.publish(outgoing, timeout=timedelta(seconds=10))
    assert all(each.confirmed for each in confirmations)


@pytest.mark.parametrize("mode", list(Mode))
def test_each_type_of_message_ends_as_its_event(
    mode: Mode, start: Starting, emitter: Emitter, looking: Database, mark: str
) -> None:
    story = [
        issued(f"{mark}-1"),
        said("license.renewed", license_id=f"{mark}-1", valid_until="2031-01-01T00:00:00Z"),
        said("license.suspended", license_id=f"{mark}-1", reason="r"),
        said("license.reinstated", license_id=f"{mark}-1", reason="r"),
        said("session.started", session_id=f"{mark}-1", license_id=f"{mark}-1"),
        said("session.heartbeat", session_id=f"{mark}-1"),
        said("session.ended", session_id=f"{mark}-1"),
        said("license.revoked", license_id=f"{mark}-1", reason="r"),
        said("task.requested", run_id=f"{uuid4()}", task=mark),
        said("task.received", run_id=f"{mark}-1", task="t", attempt=1),
        said("task.started", run_id=f"{mark}-1", task="t", attempt=1),
        said(
            "task.retry_scheduled",
            run_id=f"{mark}-1",
            task="t",
            attempt=1,
            spent_by="exception",
            error_type="E",
            error="e",
            delay_seconds=1,
        ),
        said("task.succeeded", run_id=f"{mark}-1", task="t", attempt=2),
        *(
            said(f"task.{end}", run_id=f"{mark}-{end}", task="t", attempt=1, error_type="E", error="e")
            for end in ("failed", "timed_out", "lost", "rejected", "revoked", "expired")
        ),
    ]
    emitter.emit_all(story, mode=mode)
    process = start(watermark_interval_seconds=0.5).begins()
    eventually(lambda: len(looking.runs(mark)) == 7)
    assert looking.licenses(mark)["-1"] == [
        f"license.{what}" for what in ("issued", "renewed", "suspended", "reinstated", "revoked")
    ]
    assert looking.sessions(mark)["-1"] == ["session.started", "session.ended"]
    assert looking.heartbeats(mark) == 1
    assert looking.runs(mark)["-1"] == ["task.received", "task.started", "task.retry_scheduled", "task.succeeded"]
    assert sorted(looking.runs(mark)["-lost"]) == ["task.lost"]
    assert looking.requests(mark) == 1
    assert looking.reasons(mark) == []
    eventually(lambda: looking.watermarks() > 0)
    assert process.memory_megabytes() < MEMORY_MEGABYTES
    assert process.stop() == 0


def test_bad_messages_end_in_ingest_dead_with_their_reason_and_the_rest_of_their_batch_is_stored(
    place: Settings, start: Starting, host: VirtualHost, looking: Database, mark: str
) -> None:
    refused = said("session.ended", session_id=f"{mark}-never-started")
    unknown = unchecked("session.begun", f'{{"session_id": "{mark}"}}'.encode())
    broken = f'{{"id": "{mark}"}}'.encode()
    texts = [encode_structured(each).body for each in (issued(f"{mark}-1"), refused, unknown)]
    batch = Encoded(encode_batch([]).content_type, {}, b"[" + b",".join([*texts[:2], broken, texts[2]]) + b"]")
    large = Encoded("application/cloudevents+json", {}, b'"' + mark.encode() * 100_000 + b'"')
    publish(place, batch, large, encode_structured(issued(f"{mark}-2")))
    process = start(message_limit_bytes=524_288).begins()
    letters = {
        letter.properties.headers["x-ledgerq-reason"]: letter for letter in (host.take("ingest.dead") for _ in range(4))
    }
    assert set(letters) == {"SessionUnknown", "unknown_type", "unreadable", "too_large"}
    assert letters["SessionUnknown"].body == texts[1]
    assert letters["unreadable"].body == broken
    assert letters["too_large"].body == large.body
    assert "allowed are 524288" in letters["too_large"].properties.headers["x-ledgerq-detail"]
    assert set(looking.licenses(mark)) == {"-1", "-2"}
    assert sorted(looking.reasons(mark)) == sorted(letters)
    assert process.stop() == 0
    assert host.depth("ingest") == 0


def test_nothing_is_acknowledged_before_it_is_stored(
    place: Settings, start: Starting, emitter: Emitter, host: VirtualHost, looking: Database, mark: str
) -> None:
    process = start().begins()
    with closing(Database(place)) as holding, holding.connection.transaction():
        holding.connection.execute("lock table event_store.licensing_events in exclusive mode")
        emitter.emit(issued(mark))
        eventually(looking.ingest_waits)
        process.kill()
    eventually(lambda: host.depth("ingest") >= 1)
    start().begins()
    eventually(lambda: looking.licenses(mark) == {"": ["license.issued"]})


def test_killed_between_commit_and_acknowledgement_it_stores_once(
    start: Starting, emitter: Emitter, host: VirtualHost, looking: Database, relay: Relay, mark: str
) -> None:
    passed_before = looking.watermarks()
    process = start(relay.settings, watermark_interval_seconds=300).begins()
    eventually(lambda: looking.watermarks() > passed_before)  # the marker's own questions have been answered
    relay.stop_reading()  # whatever it acknowledges from here on, the broker does not hear
    story = [issued(mark), said("session.started", session_id=mark, license_id=mark)]
    story += [said("task.requested", run_id=f"{uuid4()}", task=mark), said("session.heartbeat", session_id=mark)]
    emitter.emit_all(story, mode=Mode.STRUCTURED)
    eventually(lambda: looking.heartbeats(mark) == 1)
    process.kill()
    relay.cut()
    eventually(lambda: host.depth("ingest") >= len(story))
    again = start().begins()
    eventually(lambda: host.depth("ingest") == 0)
    assert again.stop() == 0
    assert looking.licenses(mark) == {"": ["license.issued"]}
    assert looking.sessions(mark) == {"": ["session.started"]}
    assert (looking.requests(mark), looking.heartbeats(mark), looking.reasons(mark)) == (1, 1, [])


def test_killed_again_and_again_it_loses_nothing_and_stores_nothing_twice(
    start: Starting, emitter: Emitter, host: VirtualHost, looking: Database, mark: str
) -> None:
    total = 1200
    story = [issued(f"{mark}-{number}") for number in range(total // 2)]
    story += [said("session.ended", session_id=f"{mark}-{number}") for number in range(total // 2)]
    shuffled = [each for pair in zip(story[: total // 2], story[total // 2 :], strict=True) for each in pair]
    emitter.emit_all(shuffled, mode=Mode.STRUCTURED)
    for kill in range(1, 5):
        process = start(ingest_batch_messages=20).begins()
        eventually(lambda wanted=kill * total // 12: looking.count(mark) >= wanted, every=0.003)  # type: ignore[misc]
        process.kill()
        eventually(lambda: host.depth("ingest") + looking.count(mark) >= total)
    last = start().begins()
    eventually(lambda: looking.count(mark) == total)
    assert last.stop() == 0
    assert set(map(len, looking.licenses(mark).values())) == {1}
    assert len(looking.licenses(mark)) == total // 2
    assert looking.reasons(mark) == ["SessionUnknown"] * (total // 2)
    assert host.depth("ingest.dead") >= total // 2


def test_sessions_of_the_database_that_are_ended_cost_nothing(
    start: Starting, emitter: Emitter, looking: Database, mark: str
) -> None:
    process = start(ingest_batch_messages=50).begins()
    total = 2000
    ended = 0
    for part in range(4):
        emitter.emit_all([issued(f"{mark}-{part}-{n}") for n in range(total // 4)], mode=Mode.STRUCTURED)
        ended += looking.terminate_ingest()
    eventually(lambda: len(looking.licenses(mark)) == total)
    assert ended > 0
    assert looking.reasons(mark) == []
    assert process.stop() == 0


def test_a_database_that_is_too_slow_for_its_own_time_limit_costs_nothing(
    place: Settings, start: Starting, emitter: Emitter, looking: Database, mark: str
) -> None:
    url = place.database_url.get_secret_value()
    limited = f"{url}{'&' if '?' in url else '?'}options=-c%20statement_timeout%3D100ms"
    slow = place.model_copy(update={"database_url": SecretStr(limited)})
    process = start(slow, watermark_interval_seconds=300).begins()
    with closing(Database(place)) as holding, holding.connection.transaction():
        holding.connection.execute("lock table event_store.heartbeat_events in share mode")
        emitter.emit(said("session.heartbeat", session_id=mark))
        eventually(lambda: process.says("statement timeout", times=ROUNDS + 1))
    eventually(lambda: looking.heartbeats(mark) == 1)
    assert not process.says("fault of ours")
    assert process.stop() == 0


def test_a_cut_connection_to_the_broker_is_made_again(
    start: Starting, emitter: Emitter, looking: Database, relay: Relay, mark: str
) -> None:
    process = start(relay.settings).begins()
    emitter.emit(issued(f"{mark}-1"))
    eventually(lambda: len(looking.licenses(mark)) == 1)
    relay.cut()
    emitter.emit(issued(f"{mark}-2"))
    eventually(lambda: len(looking.licenses(mark)) == 2)
    assert process.says("the broker is out of reach")
    assert process.stop() == 0


def test_a_message_the_database_chokes_on_is_put_aside_and_its_neighbours_are_stored(
    start: Starting, emitter: Emitter, host: VirtualHost, looking: Database, mark: str
) -> None:
    looking.choke_on(f"license-{mark}-7")
    try:
        process = start().begins()
        emitter.emit_batch([issued(f"{mark}-{number}") for number in range(10)])
        letter = host.take("ingest.dead")
    finally:
        looking.recover()
    assert letter.properties.headers["x-ledgerq-reason"] == "fault"
    assert "choked" in letter.properties.headers["x-ledgerq-detail"]
    assert f"{mark}-7".encode() in letter.body
    assert set(looking.licenses(mark)) == {f"-{number}" for number in range(10) if number != 7}
    assert looking.reasons(mark) == ["fault"]
    assert process.stop() == 0


def test_no_property_however_odd_stops_ingest(
    start: Starting, host: VirtualHost, looking: Database, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start().begins()
    monkeypatch.setattr("pika.data.calendar.timegm", lambda _: 10**15)
    odd = {"when": datetime.now(UTC), "cloudEvents:id": mark, "\N{SNOWMAN}": [{"deep": [1]}]}
    structured = encode_structured(issued(mark))
    for content_type, body in ((structured.content_type, structured.body), ("application/json", mark.encode())):
        properties = pika.BasicProperties(content_type=content_type, headers=odd, timestamp=2**60)
        host.channel.basic_publish("events", "tests", body, properties)
    latin = pika.BasicProperties(content_type="text/\udcff")
    monkeypatch.setattr("pika.data.as_bytes", lambda text: text.encode(errors="surrogateescape"))
    host.channel.basic_publish("events", "tests", mark.encode(), latin)
    assert {host.take("ingest.dead").properties.headers["x-ledgerq-reason"] for _ in range(2)} == {"unreadable"}
    eventually(lambda: looking.licenses(mark) == {"": ["license.issued"]})
    assert not process.says("fault of ours")
    assert process.stop() == 0


def test_two_processes_side_by_side_store_everything_once(
    start: Starting, emitter: Emitter, host: VirtualHost, looking: Database, mark: str
) -> None:
    total = 1000
    both = [start(ingest_batch_messages=20), start(ingest_batch_messages=20)]
    eventually(lambda: both[0].says("ingest consumes", times=2))
    emitter.emit_all([issued(f"{mark}-{number}") for number in range(total)] * 2, mode=Mode.STRUCTURED)
    eventually(lambda: len(looking.licenses(mark)) == total and host.depth("ingest") == 0)
    assert [process.stop() for process in both] == [0, 0]
    assert set(map(len, looking.licenses(mark).values())) == {1}
    assert looking.reasons(mark) == []


def dead_task(host: VirtualHost, run_id: str, *, expiration: str | None = None) -> None:
    """Publish a task to a queue that nobody serves."""
    properties = pika.BasicProperties(headers={"id": run_id, "task": "report"}, expiration=expiration, priority=1)
    host.channel.basic_publish("tasks", "tasks.low", b"[[], {}, {}]", properties)


def test_dead_letters_of_tasks_are_recorded_whether_a_worker_or_the_broker_made_them(
    start: Starting, host: VirtualHost, looking: Database, mark: str
) -> None:
    process = start().begins()
    dead_task(host, f"{mark}-rejected")
    host.reject("tasks.low")
    dead_task(host, f"{mark}-expired", expiration="1")
    eventually(lambda: len(looking.runs(mark)) == 2)
    assert looking.letters(mark) == {
        f"{mark}-rejected": ("rejected", "tasks.low", "report", 2**30 + 1),
        f"{mark}-expired": ("expired", "tasks.low", "report", 2**30),
    }
    assert process.stop() == 0
    assert host.depth("dead.record") == 0
    assert host.depth("dead") == 2

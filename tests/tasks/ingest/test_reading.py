from __future__ import annotations

from datetime import timedelta

import pytest

from domain.heartbeat import Heartbeat
from domain.messages import SessionStartedData
from infra.cloudevents import encode_batch, encode_binary, encode_structured
from infra.cloudevents.encoding import BATCH
from tasks.ingest import reading
from tasks.ingest.reading import Reading, read
from tests.tasks.ingest.deliveries import NOW, delivery, told, unchecked

LIMIT = 100_000


def reading_of(*deliveries: object) -> Reading:
    return read(deliveries, limit_bytes=LIMIT)  # type: ignore[arg-type]


def test_heartbeats_are_read_in_all_three_modes() -> None:
    beats = [told("session.heartbeat", session_id=f"S{n}", at=NOW - timedelta(seconds=n)) for n in range(4)]
    said = reading_of(
        delivery(encode_structured(beats[0])),
        delivery(encode_binary(beats[1])),
        delivery(encode_batch(beats[2:])),
    )
    assert said.heartbeats == [Heartbeat(f"S{n}", NOW - timedelta(seconds=n)) for n in range(4)]
    assert (said.told, said.rejected) == ([], [])


def test_a_heartbeat_of_a_clock_that_is_ahead_counts_as_of_its_receipt_and_says_by_how_much() -> None:
    ahead = told("session.heartbeat", session_id="S1", at=NOW + timedelta(days=50 * 365))
    behind = told("session.heartbeat", session_id="S2", at=NOW - timedelta(hours=1))
    said = reading_of(delivery(encode_batch([ahead, behind]), received_at=NOW + timedelta(seconds=2)))
    assert said.heartbeats == [
        Heartbeat("S1", NOW + timedelta(seconds=2), ahead_ms=(50 * 365 * 86_400 - 2) * 1000),
        Heartbeat("S2", NOW - timedelta(hours=1)),
    ]


def test_a_clock_that_is_ahead_by_less_than_a_second_is_taken_for_ours() -> None:
    ahead = told("session.heartbeat", session_id="S1", at=NOW + timedelta(milliseconds=900))
    assert reading_of(delivery(ahead, received_at=NOW)).heartbeats == [Heartbeat("S1", NOW)]


def test_the_cause_is_what_the_message_says_of_itself() -> None:
    event = unchecked(
        "session.started",
        b'{"session_id": "S1", "license_id": "L1"}',
        id="7",
        source="/desktop",
        actor="alice",
        correlationid="story",
        causationid="before",
        traceparent="00-a-b-01",
        tenant="acme",
    )
    (only,) = reading_of(delivery(event)).told
    assert only.data == SessionStartedData(session_id="S1", license_id="L1")
    assert only.cause.id == event.unique_id
    assert only.cause.at == NOW
    assert only.cause.metadata() == {
        "actor": "alice",
        "correlation_id": "story",
        "causation_id": "before",
        "traceparent": "00-a-b-01",
        "tenant": "acme",
        "source_event_id": "7",
    }


def test_a_message_that_names_no_actor_is_answered_for_by_its_source() -> None:
    event = told("session.ended", session_id="S1")
    (only,) = reading_of(delivery(event)).told
    assert only.cause.actor == "/tests"
    assert only.cause.metadata()["correlation_id"] == str(event.unique_id)


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (b"{", "unreadable", "truncated"),
        (b'{"specversion": "1.0"}', "unreadable", "missing"),
        (encode_structured(unchecked("session.begun", b"{}")).body, "unknown_type", "session.begun"),
        (encode_structured(unchecked("session.ended", b'{"session": 1}')).body, "invalid", "`session`"),
        (encode_structured(told("session.ended", session_id="S1")).body[:-1], "unreadable", "truncated"),
        (b" " * (LIMIT + 1), "too_large", f"allowed are {LIMIT}"),
    ],
)
def test_what_cannot_be_taken_in_is_rejected_with_its_reason(body: bytes, reason: str, detail: str) -> None:
    (rejected,) = reading_of(delivery(body)).rejected
    assert rejected.reason == reason
    assert detail in rejected.detail
    assert rejected.delivery.body == body


def test_bad_elements_of_a_batch_are_rejected_alone_and_the_rest_is_read() -> None:
    good, unknown = told("session.heartbeat", session_id="S1"), unchecked("session.begun", b"{}")
    body = b"[" + b",".join([encode_structured(good).body, b'{"id": 1}', encode_structured(unknown).body]) + b"]"
    said = reading_of(delivery(body, content_type=BATCH))
    assert [beat.session_id for beat in said.heartbeats] == ["S1"]
    assert [each.reason for each in said.rejected] == ["unreadable", "unknown_type"]
    assert [each.delivery.body for each in said.rejected] == [b'{"id": 1}', encode_structured(unknown).body]
    assert said.rejected[1].message_id == unknown.unique_id


def test_a_message_our_own_code_fails_at_is_put_aside_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(content_type: str | None, headers: object, body: bytes) -> object:
        if body == b"poison":
            raise ZeroDivisionError("a bug")
        return sound(content_type, headers, body)  # type: ignore[arg-type]

    sound = reading.decode
    monkeypatch.setattr(reading, "decode", broken)
    said = reading_of(delivery(b"poison"), delivery(told("session.heartbeat", session_id="S1")))
    assert len(said.heartbeats) == 1
    (rejected,) = said.rejected
    assert (rejected.reason, rejected.detail) == ("fault", "ZeroDivisionError: a bug")

from __future__ import annotations

from datetime import timedelta

from domain.ingest import MessageDeadLettered
from infra.broker.frames import publish_frames
from tasks.ingest.rejection import Rejected
from tests.tasks.ingest.deliveries import NOW, delivery, told


def fact(rejected: Rejected) -> MessageDeadLettered:
    event = rejected.fact().event
    assert isinstance(event, MessageDeadLettered)
    return event


def test_the_fact_says_what_was_rejected_and_why() -> None:
    event = told("session.ended", session_id="S1")
    recorded = fact(Rejected.event_of(delivery(event), event, reason="SessionUnknown", detail="never started"))
    assert recorded.originator_id == f"dead_message-{event.unique_id}"
    assert (recorded.reason, recorded.detail) == ("SessionUnknown", "never started")
    assert (recorded.message_type, recorded.source, recorded.source_event_id) == ("session.ended", "/tests", event.id)
    assert recorded.fragment.startswith('{"specversion":"1.0"')


def test_the_same_message_rejected_later_is_the_same_fact() -> None:
    first = Rejected.bytes_of(delivery(b"{"), reason="unreadable", detail="x").fact()
    later = delivery(b"{", received_at=NOW + timedelta(hours=1), redelivered=True)
    assert Rejected.bytes_of(later, reason="unreadable", detail="x").fact().event_id == first.event_id


def test_bytes_the_database_would_not_take_do_not_reach_it() -> None:
    recorded = fact(Rejected.bytes_of(delivery(b"\x00\xff\xf0"), reason="unreadable", detail="byte \0 \ud800"))
    assert "\0" not in recorded.fragment + recorded.detail
    assert (recorded.fragment + recorded.detail).encode()


def test_the_message_goes_as_it_came_with_the_reason_in_its_headers() -> None:
    came = delivery(b"{", headers={"mine": "kept", "x-death": [{"count": 1}]}, content_type="text/plain")
    sent = Rejected.bytes_of(came, reason="unreadable", detail="d" * 5000).message()
    assert (sent.exchange, sent.body, sent.content_type) == ("ingest.dead", b"{", "text/plain")
    assert sent.headers == {"mine": "kept", "x-ledgerq-reason": "unreadable", "x-ledgerq-detail": "d" * 1000}
    assert publish_frames(sent, channel=1, frame_max=131_072)


def test_properties_that_cannot_be_written_again_can_be_left_behind() -> None:
    came = delivery(b"{", headers={"odd": object()}, content_type="x" * 300)
    sent = Rejected.bytes_of(came, reason="unreadable", detail="").message(bare=True)
    assert set(sent.headers) == {"x-ledgerq-reason", "x-ledgerq-detail"}
    assert publish_frames(sent, channel=1, frame_max=131_072)

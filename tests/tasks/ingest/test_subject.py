import hashlib

import msgspec

from tasks.ingest.subject import fields_of
from tests.tasks.ingest.deliveries import delivery, told

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_line_about_a_message_says_what_it_is_and_whose_story() -> None:
    event = msgspec.structs.replace(
        told("session.started", session_id="s-1", license_id="l-1"),
        correlationid="story",
        traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
    )
    expected = {"message_type": "session.started", "correlation_id": "story", "trace_id": TRACE}
    assert fields_of(delivery(event)) == expected


def test_a_message_without_a_story_is_its_own() -> None:
    event = told("session.started", session_id="s-1", license_id="l-1")
    fields = fields_of(delivery(event))
    assert fields["correlation_id"] == str(event.unique_id)
    assert fields["trace_id"] == hashlib.md5(str(event.unique_id).encode()).hexdigest()  # noqa: S324


def test_of_what_says_nothing_or_many_things_nothing_is_said() -> None:
    assert fields_of(delivery(b"\xff nonsense")) == {}
    assert fields_of(delivery(b"[]", content_type="application/cloudevents-batch+json")) == {}

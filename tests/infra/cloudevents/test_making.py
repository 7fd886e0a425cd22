from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from domain.messages import MessageInvalid, MessageTypeUnknown, SessionHeartbeatData
from infra.cloudevents import decode, encode_structured, new_event
from tests.infra.cloudevents.examples import NOON


def test_a_new_event_says_what_it_was_given_and_can_be_read() -> None:
    made = new_event("session.heartbeat", source="/gateway/7", data={"session_id": "s-1"}, subject="s-1", time=NOON)

    assert (made.type, made.source, made.subject, made.time) == ("session.heartbeat", "/gateway/7", "s-1", NOON)
    assert decode(*encode_structured(made)) == [made]


def test_every_new_event_is_another_one() -> None:
    first, second = (new_event("session.heartbeat", source="/g", data={"session_id": "s"}) for _ in range(2))

    assert first.unique_id != second.unique_id


def test_data_may_be_the_types_struct() -> None:
    made = new_event("session.heartbeat", source="/g", data=SessionHeartbeatData(session_id="s"))

    assert bytes(made.data) == b'{"session_id":"s"}'


def test_without_a_time_it_happened_now() -> None:
    before = datetime.now(UTC)

    assert before <= new_event("session.heartbeat", source="/g", data={"session_id": "s"}).time <= datetime.now(UTC)


def test_what_ingest_would_refuse_is_not_made() -> None:
    with pytest.raises(MessageInvalid, match="session_id"):
        new_event("session.heartbeat", source="/g", data={})
    with pytest.raises(MessageTypeUnknown, match="is none of"):
        new_event("session.heart", source="/g", data={})


@pytest.mark.parametrize(
    ("text", "told"),
    [('"a\\u0000b"', r"U\+0000"), ("[" * 62 + "]" * 62, "deeper than 64"), ("[" * 61 + "]" * 61, None)],
    ids=["a NUL", "too deep", "just not too deep"],
)
def test_what_ingest_could_not_store_is_not_made(text: str, told: str | None) -> None:
    data = {"task": "t", "kwargs": {"x": msgspec.Raw(text.encode())}}
    if told is None:
        made = new_event("task.requested", source="/g", data=data)
        assert decode(*encode_structured(made)) == [made]
    else:
        with pytest.raises(MessageInvalid, match=told):
            new_event("task.requested", source="/g", data=data)

from __future__ import annotations

from datetime import timedelta
from struct import unpack_from
from typing import Any

import pytest
from amqp.serialization import decode_properties_basic, loads
from hypothesis import given
from hypothesis import strategies as st

from infra.broker.frames import OutgoingMessage, publish_frames

FRAME_MAX = 4096


def frames(message: OutgoingMessage) -> list[tuple[int, bytes]]:
    """Kind and payload of each, read back as the specification says (§2.3.5)."""
    content = publish_frames(message, channel=3, frame_max=FRAME_MAX)
    found = []
    while content:
        kind, channel, size = unpack_from(">BHI", content)
        assert channel == 3
        assert size + 8 <= FRAME_MAX
        assert content[7 + size] == 0xCE
        found.append((kind, content[7 : 7 + size]))
        content = content[8 + size :]
    return found


@given(body=st.binary(max_size=3 * FRAME_MAX))
def test_a_body_is_cut_into_frames_and_loses_nothing(body: bytes) -> None:
    method, header, *parts = frames(OutgoingMessage(exchange="e", routing_key="k", body=body))

    assert method[0] == 1
    assert header[0] == 2
    assert unpack_from(">HHQ", header[1]) == (60, 0, len(body))
    assert b"".join(part for _, part in parts) == body


def test_it_publishes_mandatory_to_the_exchange_with_the_key() -> None:
    method = frames(OutgoingMessage(exchange="events", routing_key="session.started", body=b""))[0][1]

    class_id, method_id = unpack_from(">HH", method)
    (_, exchange, key, mandatory), _ = loads("Bssb", method, 4)
    assert (class_id, method_id, exchange, key, mandatory) == (60, 40, "events", "session.started", True)


def test_properties_are_what_another_implementation_reads() -> None:
    headers: dict[str, Any] = {"timelimit": [None, 3.5], "retries": 1, "id": "r-1", "big": 2**40}
    message = OutgoingMessage(
        exchange="e",
        routing_key="k",
        body=b"",
        headers=headers,
        message_id="m",
        priority=0,
        type="t",
        expiration=timedelta(seconds=1.5),
        persistent=False,
    )

    properties, _ = decode_properties_basic(frames(message)[1][1], 12)

    assert properties == {
        "content_type": "application/json",
        "application_headers": headers,
        "delivery_mode": 1,
        "priority": 0,
        "message_id": "m",
        "type": "t",
        "expiration": "1500",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"routing_key": "ü" * 128},
        {"message_id": "m" * 256},
        {"priority": -1},
        {"headers": {"x": {1, 2}}},
        {"headers": {5: "x"}},
        {"headers": {"h" * 300: 1}},
        {"headers": {"x": 2**70}},
        {"type": "\ud800"},
        {"body": "text"},
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"exchange": "e", "routing_key": "k", "body": b"", **changes}

    with pytest.raises(ValueError, match="cannot be published"):
        publish_frames(OutgoingMessage(**given), channel=1, frame_max=FRAME_MAX)

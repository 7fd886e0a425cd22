from __future__ import annotations

import msgspec

from infra.cloudevents import ABSENT, encode_batch, encode_binary, encode_structured
from tests.infra.cloudevents.examples import event, text


def test_structured_mode_is_one_json_object_without_what_is_not_said() -> None:
    encoded = encode_structured(event())

    assert encoded.content_type == "application/cloudevents+json"
    assert encoded.headers == {}
    assert msgspec.json.decode(encoded.body) == msgspec.json.decode(text())


def test_batch_mode_is_one_json_array() -> None:
    encoded = encode_batch([event(id="a"), event(id="b")])

    assert encoded.content_type == "application/cloudevents-batch+json"
    assert [element["id"] for element in msgspec.json.decode(encoded.body)] == ["a", "b"]


def test_binary_mode_has_the_attributes_as_headers_and_the_data_as_the_body() -> None:
    encoded = encode_binary(event(subject="s-1"))

    assert encoded.content_type == "application/json"
    assert encoded.headers == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": "e-1",
        "cloudEvents:source": "/gateway/7",
        "cloudEvents:type": "session.heartbeat",
        "cloudEvents:time": "2026-03-01T12:00:00Z",
        "cloudEvents:subject": "s-1",
    }
    assert encoded.body == b'{"session_id":"s-1"}'


def test_absent_data_is_left_out_and_null_is_not() -> None:
    assert b'"data"' not in encode_structured(event(data=ABSENT)).body
    assert b'"data":null' in encode_structured(event(data=None)).body

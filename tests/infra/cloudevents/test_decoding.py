from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.moment import EARLIEST, LATEST
from infra.cloudevents import (
    ABSENT,
    CloudEvent,
    Unreadable,
    decode,
    encode_batch,
    encode_binary,
    encode_structured,
)
from infra.cloudevents.encoding import BATCH, STRUCTURED
from infra.cloudevents.event import FRAGMENT_LIMIT_BYTES
from tests.infra.cloudevents.examples import NOON, event, text

HEADERS = {
    "cloudEvents:specversion": "1.0",
    "cloudEvents:id": "e-1",
    "cloudEvents:source": "/gateway/7",
    "cloudEvents:type": "session.heartbeat",
    "cloudEvents:time": "2026-03-01T12:00:00Z",
}
FULL = event(
    subject="s-1",
    dataschema="https://example.org/heartbeat",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate="a=b",
    correlationid="c-1",
    causationid="e-0",
    actor="gateway",
    tenant="acme",
    datacontenttype="application/vnd.acme+json",
)


@pytest.mark.parametrize("original", [event(), FULL, event(data=None), event(data=ABSENT), event(data="ümläut")])
def test_an_event_is_the_same_in_every_mode(original: CloudEvent) -> None:
    assert decode(*encode_structured(original)) == [original]
    assert decode(*encode_binary(original)) == [original]
    assert decode(*encode_batch([original, original])) == [original, original]


TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
NAME = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=255)
SCALAR = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
DATA = st.recursive(SCALAR, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))
SECONDS = st.integers(int(EARLIEST.timestamp()), int(LATEST.timestamp()) - 1)


@given(names=st.lists(NAME, min_size=3, max_size=3), data=DATA, seconds=SECONDS)
@settings(deadline=None)
def test_any_event_survives_any_mode(names: list[str], data: object, seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    original = event(id=names[0], source=names[1], subject=names[2], data=data, time=moment)

    assert decode(*encode_structured(original)) == [original]
    assert decode(*encode_binary(original)) == [original]
    assert decode(*encode_batch([original])) == [original]


@given(content_type=st.sampled_from([STRUCTURED, BATCH, "application/json", None]), body=st.binary(max_size=200))
@settings(deadline=None)
def test_no_body_whatever_raises(content_type: str | None, body: bytes) -> None:
    for found in decode(content_type, HEADERS, body):
        assert isinstance(found, CloudEvent | Unreadable)


@pytest.mark.parametrize(
    ("content_type", "headers", "body", "reason"),
    [
        pytest.param(STRUCTURED, {}, b"", "Input data was truncated", id="empty body"),
        pytest.param(STRUCTURED, {}, b"{", "truncated", id="half an object"),
        pytest.param(STRUCTURED, {}, b"[]", "Expected `object`, got `array`", id="array where one event is due"),
        pytest.param(STRUCTURED, {}, text() + b" x", "trailing characters", id="something after the event"),
        pytest.param(STRUCTURED, {}, text(specversion=...), "specversion is missing", id="no specversion"),
        pytest.param(STRUCTURED, {}, text(specversion="0.3"), 'allowed: the string "1.0"', id="old specversion"),
        pytest.param(STRUCTURED, {}, text(specversion=1.0), "attribute specversion", id="number for a version"),
        pytest.param(STRUCTURED, {}, text(id=...), "attribute id is missing", id="no id"),
        pytest.param(STRUCTURED, {}, text(id=""), "allowed: 1 to 255 characters", id="empty id"),
        pytest.param(STRUCTURED, {}, text(id="x" * 256), "attribute id", id="id too long"),
        pytest.param(STRUCTURED, {}, text(id=5), "attribute id: Expected `str`, got `int`", id="number for an id"),
        pytest.param(STRUCTURED, {}, text(id=None), "attribute id", id="null for an id"),
        pytest.param(STRUCTURED, {}, text(source=""), "a URI reference of 1 to 1024", id="empty source"),
        pytest.param(STRUCTURED, {}, text(type=...), "attribute type is missing", id="no type"),
        pytest.param(STRUCTURED, {}, text(time=...), "attribute time is missing", id="no time"),
        pytest.param(STRUCTURED, {}, text(time="yesterday"), "allowed: an RFC 3339 date-time", id="time in words"),
        pytest.param(STRUCTURED, {}, text(time="2026-03-01T12:00:00"), "with an offset", id="time without offset"),
        pytest.param(STRUCTURED, {}, text(time="9999-12-31T23:59:59-14:00"), "attribute time", id="after 9999"),
        pytest.param(STRUCTURED, {}, text(time="9990-01-01T00:00:00Z"), "before 9990-01-01 in UTC", id="too late"),
        pytest.param(STRUCTURED, {}, text(time="1969-12-31T23:59:59Z"), "from 1970-01-01", id="too early"),
        pytest.param(STRUCTURED, {}, text(time="0001-01-05T00:00:00Z"), "attribute time", id="much too early"),
        pytest.param(STRUCTURED, {}, text(time="0001-01-01T00:00:00+05:00"), "attribute time", id="before year 1"),
        pytest.param(STRUCTURED, {}, text(time=1767225600), "attribute time", id="time as a number"),
        pytest.param(STRUCTURED, {}, text(datacontenttype="text/xml"), "allowed: application/json", id="XML data"),
        pytest.param(STRUCTURED, {}, text(data_base64="e30="), "data and data_base64 are both there", id="data twice"),
        pytest.param(STRUCTURED, {}, text(data=..., data_base64="8A=="), "not UTF-8", id="base64 of no JSON"),
        pytest.param(STRUCTURED, {}, text(id="a\0b"), "U+0000", id="NUL in an attribute"),
        pytest.param(STRUCTURED, {}, text(data="a\0b"), "U+0000", id="NUL in the data"),
        pytest.param(STRUCTURED, {}, text().replace(b"s-1", b"\xff"), "not UTF-8", id="not UTF-8"),
        pytest.param(STRUCTURED, {}, text(data=[]).replace(b"[]", b"[" * 70 + b"]" * 70), "64 levels", id="deep"),
        pytest.param(STRUCTURED, {}, b"[" * 1_000_000, "64 levels", id="bottomless"),
        pytest.param(STRUCTURED + "; charset=latin-1", {}, text(), "allowed is utf-8", id="other charset"),
        pytest.param(BATCH, {}, text(), "allowed is a JSON array", id="one event where a batch is due"),
        pytest.param(BATCH, {}, b"[1,", "not a batch", id="half a batch"),
        pytest.param(BATCH, {}, b"[" * 1_000_000, "not a batch", id="bottomless batch"),
        pytest.param("application/cloudevents+avro", {}, b"x", "allowed are application/cloudevents+json", id="Avro"),
        pytest.param("application/json", {}, text(), "no cloudEvents: header", id="event without its content type"),
        pytest.param(None, None, b"", "content type None", id="nothing at all"),
        pytest.param("text/plain", HEADERS, b"hello", "allowed: application/json", id="text as data"),
        pytest.param("application/json", HEADERS, b"{} x", "data: ", id="data with a tail"),
        pytest.param("application/json", HEADERS, b"\xff", "not UTF-8", id="data not UTF-8"),
        pytest.param("application/json", HEADERS, b"[" * 1_000_000, "64 levels", id="bottomless data"),
        pytest.param("application/json", {"cloudEvents:id": "e-1"}, b"{}", "is missing", id="one header only"),
        pytest.param("application/json", {**HEADERS, "cloudEvents:id": "a\0"}, b"{}", "attribute id", id="NUL header"),
        pytest.param("application/json", {**HEADERS, "cloudEvents:id": b"\xff"}, b"{}", "attribute id", id="bytes"),
        pytest.param("application/json", {**HEADERS, "cloudEvents:id": ["e"]}, b"{}", "attribute id", id="list"),
        pytest.param("application/json", {**HEADERS, "cloudEvents:time": "x"}, b"{}", "attribute time", id="bad time"),
        pytest.param(
            "application/json",
            {**HEADERS, "cloudEvents:time": datetime(1969, 12, 31, tzinfo=UTC)},
            b"{}",
            "from 1970-01-01",
            id="too early a header",
        ),
    ],
)
def test_what_is_no_event_says_why_and_what_is_allowed(
    content_type: str | None, headers: dict[str, Any], body: bytes, reason: str
) -> None:
    [found] = decode(content_type, headers, body)

    assert isinstance(found, Unreadable)
    assert reason in found.reason
    assert "allowed" in found.reason or "required" in found.reason
    assert found.fragment == body[:FRAGMENT_LIMIT_BYTES]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"5", id="number"),
        pytest.param(b"null", id="null"),
        pytest.param(text(id=""), id="empty id"),
        pytest.param(text(data="\0"), id="NUL"),
        pytest.param(text().replace(b"s-1", b"\xff"), id="not UTF-8"),
        pytest.param(text(data=[]).replace(b"[]", b"[" * 70 + b"]" * 70), id="deep"),
    ],
)
def test_an_unreadable_element_does_not_spoil_its_batch(broken: bytes) -> None:
    found = decode(BATCH, {}, b"[" + b",".join([text(id="e-1"), broken, text(id="e-2")]) + b"]")

    assert [type(element) for element in found] == [CloudEvent, Unreadable, CloudEvent]
    assert found[0] == event(id="e-1")
    assert found[2] == event(id="e-2")


def test_an_empty_batch_has_no_events() -> None:
    assert decode(BATCH, {}, b"[]") == []


def test_null_attributes_are_absent() -> None:
    assert decode(STRUCTURED, {}, text(subject=None, datacontenttype=None, tenant=None)) == [event()]


def test_unknown_extension_attributes_do_no_harm() -> None:
    assert decode(STRUCTURED, {}, text(comexampleother=5)) == [event()]


def test_data_may_come_as_base64_of_json() -> None:
    assert decode(STRUCTURED, {}, text(data=..., data_base64="eyJzZXNzaW9uX2lkIjoicy0xIn0=")) == [event()]


def test_content_types_are_read_without_regard_to_case_and_parameters() -> None:
    assert decode("Application/CloudEvents+JSON; charset=UTF-8", {}, text()) == [event()]
    assert decode('application/cloudevents-batch+json; charset="utf-8"', {}, b"[" + text() + b"]") == [event()]
    assert decode("application/json; charset=utf-8", HEADERS, b'{"session_id":"s-1"}') == [event()]


def test_headers_may_have_an_underscore_for_clients_that_allow_no_colon() -> None:
    headers = {name.replace(":", "_"): value for name, value in HEADERS.items()}

    assert decode("application/json", headers, b'{"session_id":"s-1"}') == [event()]


def test_header_values_may_be_of_amqp_types_or_in_their_canonical_form() -> None:
    headers = {
        **HEADERS,
        "cloudEvents:time": NOON.replace(tzinfo=None),
        "cloudEvents:id": 17,
        "cloudEvents:actor": True,
    }

    assert decode(None, headers, b'{"session_id":"s-1"}') == [event(id="17", actor="true")]
    assert decode(None, {**HEADERS, "cloudEvents:subject": None, "other": 1}, b"null") == [event(data=None)]


def test_times_are_in_utc_whatever_their_offset() -> None:
    [found] = decode(STRUCTURED, {}, text(time="2026-03-01T14:30:00+02:30"))

    assert isinstance(found, CloudEvent)
    assert found.time == NOON
    assert found.time.tzinfo is UTC


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    [found] = decode(STRUCTURED, {}, text(data="\\u0000"))

    assert isinstance(found, CloudEvent)
    assert msgspec.json.decode(found.data) == "\\u0000"

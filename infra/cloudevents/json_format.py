"""Structured and batch mode: events as JSON objects (CloudEvents JSON format)."""

from __future__ import annotations

from typing import Final

import msgspec

from infra.cloudevents.attributes import complaint, rule
from infra.cloudevents.event import ABSENT, CloudEvent, Unreadable, is_json
from infra.cloudevents.text import unstorable, unstorable_character, unstorable_depth

_event: Final = msgspec.json.Decoder(CloudEvent)
_elements: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(msgspec.Raw)


class _Payload(msgspec.Struct):
    """The two ways to carry data, of which an event may use one (§3.1.1)."""

    data: msgspec.Raw = ABSENT
    data_base64: bytes | None = None


_payload: Final = msgspec.json.Decoder(_Payload)


def decode_structured(body: bytes) -> CloudEvent | Unreadable:
    """The one event of a message."""
    if flaw := unstorable(body):
        return Unreadable.of(flaw, body)
    return _object(body)


def decode_batch(body: bytes) -> list[CloudEvent | Unreadable]:
    """The events of a message that is a JSON array of them; one that is unreadable leaves the others alone."""
    try:
        elements = _elements.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        return [Unreadable.of(f"not a batch: {error}; allowed is a JSON array of CloudEvents", body)]
    if unstorable_character(body):
        return [decode_structured(bytes(element)) for element in elements]
    return [_element(bytes(element)) for element in elements]


def json_text(text: bytes) -> msgspec.Raw:
    """The text, if it is one JSON value and nothing else.

    Raises:
        msgspec.DecodeError: it is not, or it cannot be stored.
    """
    if flaw := unstorable(text):
        raise msgspec.ValidationError(flaw)
    try:
        return _text.decode(text)
    except RecursionError:
        raise msgspec.ValidationError("nested too deep") from None


def _element(text: bytes) -> CloudEvent | Unreadable:
    if flaw := unstorable_depth(text):
        return Unreadable.of(flaw, text)
    return _object(text)


def _object(text: bytes) -> CloudEvent | Unreadable:
    try:
        event = _event.decode(text)
        if b'"data_base64"' in text:
            event = _with_base64(event, text)
    except (msgspec.DecodeError, RecursionError) as error:
        return Unreadable.of(complaint(error), text)
    except OverflowError as error:
        return Unreadable.of(f"attribute time: {error}; allowed: {rule('time')}", text)
    if event.datacontenttype is None or is_json(event.datacontenttype):
        return event
    return Unreadable.of(
        f"attribute datacontenttype: {event.datacontenttype!r}; allowed: {rule('datacontenttype')}", text
    )


def _with_base64(event: CloudEvent, text: bytes) -> CloudEvent:
    payload = _payload.decode(text)
    if payload.data_base64 is None:
        return event
    if payload.data is not ABSENT:
        raise msgspec.ValidationError("data and data_base64 are both there, allowed is one")
    return msgspec.structs.replace(event, data=json_text(payload.data_base64))

"""From events to what a message needs: content type, headers, body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from infra.cloudevents.event import JSON, CloudEvent

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
BINARY_PREFIX: Final = "cloudEvents:"
"""Of header names in binary mode (CloudEvents AMQP binding §3.1.3.1)."""

_NOT_HEADERS: Final = frozenset({"data", "datacontenttype"})
_encoder: Final = msgspec.json.Encoder()


class Encoded(NamedTuple):
    """What :func:`infra.cloudevents.decode` takes, in its order."""

    content_type: str
    headers: dict[str, str]
    body: bytes


def encode_structured(event: CloudEvent) -> Encoded:
    """One event as one JSON object (CloudEvents JSON format §3)."""
    return Encoded(STRUCTURED, {}, _encoder.encode(event))


def encode_batch(events: Sequence[CloudEvent]) -> Encoded:
    """Many events as one JSON array (CloudEvents JSON format §4)."""
    return Encoded(BATCH, {}, _encoder.encode(events))


def joined_batch(objects: Sequence[bytes]) -> Encoded:
    """The same of events that are JSON objects already (:func:`encode_structured`)."""
    return Encoded(BATCH, {}, b"[" + b",".join(objects) + b"]")


def encode_binary(event: CloudEvent) -> Encoded:
    """One event with its attributes as headers, in their canonical string form, and its data as the body."""
    headers = {
        BINARY_PREFIX + name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in zip(event.__struct_fields__, msgspec.structs.astuple(event), strict=True)
        if name not in _NOT_HEADERS and value is not None
    }
    return Encoded(event.datacontenttype or JSON, headers, bytes(event.data))

"""Messages as they come in, without a broker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from infra.cloudevents import CloudEvent, Encoded, encode_structured, new_event
from tasks.ingest.delivery import Delivery

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def told(message_type: str, /, *, at: datetime = NOW, **data: Any) -> CloudEvent:
    """An event from a service called ``/tests``."""
    return new_event(message_type, source="/tests", data=data, time=at)


def unchecked(message_type: str, data: bytes, /, **attributes: Any) -> CloudEvent:
    """An event that a careful emitter would not have sent."""
    named = {"specversion": "1.0", "id": str(uuid4()), "source": "/tests", "time": NOW, **attributes}
    return CloudEvent(type=message_type, data=msgspec.Raw(data), **named)


def delivery(
    said: CloudEvent | Encoded | bytes,
    /,
    *,
    content_type: str | None = "application/cloudevents+json",
    received_at: datetime = NOW,
    **properties: Any,
) -> Delivery:
    """The delivery of one message."""
    if isinstance(said, bytes):
        said = Encoded(content_type or "", {}, said)
    encoded = encode_structured(said) if isinstance(said, CloudEvent) else said
    given = {"message_id": None, "priority": None, "redelivered": False, **properties}
    headers = given.pop("headers", dict(encoded.headers))
    return Delivery(1, encoded.content_type, headers, encoded.body, received_at=received_at, **given)

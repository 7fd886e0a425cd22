"""What an endpoint is sent: the event as the log has it, as a CloudEvent in JSON. The same bytes at every attempt."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from infra.event_store import Log, Recorded

PAYLOAD_VERSION: Final = "1"
"""Raised when what surrounds ``data`` changes in a way that a receiver could stumble over."""
CONTENT_TYPE: Final = "application/cloudevents+json"
_EXTENSIONS: Final = {
    "correlation_id": "correlationid",
    "causation_id": "causationid",
    "actor": "actor",
    "tenant": "tenant",
    "traceparent": "traceparent",
}
"""What stands beside an event in the log, and the attribute (CloudEvents 1.0.2) that tells it."""


def payload(recorded: Recorded, log: Log) -> bytes:
    """The body of a delivery.

    ``payloadversion`` is that of the envelope, ``dataversion`` that of the event's data (its ``class_version``);
    ``sequence`` is the event's position in its log.
    """
    event, known = recorded.event, recorded.metadata
    told: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(recorded.event_id),
        "source": f"/ledgerq/log/{log.value}",
        "type": event.name,
        "subject": event.originator_id,
        "time": event.timestamp,
        "datacontenttype": "application/json",
        "payloadversion": PAYLOAD_VERSION,
        "dataversion": str(event.class_version),
        "sequence": str(recorded.position),
        **{name: known[key] for key, name in _EXTENSIONS.items() if known.get(key) is not None},
        "data": event.data(),
    }
    return msgspec.json.encode(told)

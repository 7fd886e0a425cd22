"""What ingest's log lines say of a message."""

from __future__ import annotations

from typing import Any

from infra.cloudevents import CloudEvent, decode
from infra.tracing.ids import trace_of
from tasks.ingest.delivery import Delivery


def fields_of(delivery: Delivery) -> dict[str, Any]:
    """The fields of a message that says one thing (docs/logs.md), or of a batch's element; none where it says nothing.

    Only for what could be read before: a message that our reading fails at is told of without them.
    """
    events = decode(delivery.content_type, delivery.headers, delivery.body)
    if len(events) != 1 or not isinstance(event := events[0], CloudEvent):
        return {}
    correlation_id = event.correlationid or str(event.unique_id)
    return {
        "message_type": event.type,
        "correlation_id": correlation_id,
        "trace_id": trace_of(event.traceparent, correlation_id),
    }

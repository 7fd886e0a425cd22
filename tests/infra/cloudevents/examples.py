"""Events for tests of their contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from infra.cloudevents import CloudEvent

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def event(**changes: Any) -> CloudEvent:
    data = changes.pop("data", {"session_id": "s-1"})
    given: dict[str, Any] = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/gateway/7",
        "type": "session.heartbeat",
        "time": NOON,
        "data": data if isinstance(data, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(data)),
    }
    return CloudEvent(**{**given, **changes})


def text(**changes: Any) -> bytes:
    """The event's JSON with some attributes changed, and those changed to `...` left out."""
    given: dict[str, Any] = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/gateway/7",
        "type": "session.heartbeat",
        "time": "2026-03-01T12:00:00Z",
        "data": {"session_id": "s-1"},
    }
    kept = {name: value for name, value in {**given, **changes}.items() if value is not ...}
    return msgspec.json.encode(kept)

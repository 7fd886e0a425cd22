"""Signals: what services and people tell for somebody to wait for, and that has no other event of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

import msgspec

from domain.aggregate import Event

SIGNAL_STREAM_PREFIX = "signal-"


class SignalReceived(Event, frozen=True, kw_only=True):
    """Somebody signaled ``name``, about ``key`` if about anything."""

    TOPIC: ClassVar[str] = "signal.received"
    signal: str
    key: str | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)

    @classmethod
    def record(cls, cause: UUID, *, signal: str, key: str | None, details: dict[str, Any], at: datetime) -> Self:
        """The fact that follows from ``cause``; the same cause gives the same stream, once."""
        return cls(
            originator_id=f"{SIGNAL_STREAM_PREFIX}{cause}",
            originator_version=1,
            timestamp=at,
            signal=signal,
            key=key,
            details=details,
        )

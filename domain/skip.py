"""Skips: an event that no read model shall count stays in its log, and that it is skipped is a fact of its own."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from domain.aggregate import Event


def skip_stream(event_id: UUID) -> str:
    """Stream of the one fact that an event is skipped."""
    return f"skip-{event_id}"


class EventSkipped(Event, frozen=True, kw_only=True):
    """Somebody decided that projections pass over an event: it was never true, or none of them can handle it."""

    TOPIC: ClassVar[str] = "event.skipped"
    log: str
    position: int
    skipped_id: str
    skipped_stream: str
    skipped_name: str
    reason: str

    @classmethod
    def record(
        cls, event_id: UUID, *, log: str, position: int, stream: str, name: str, reason: str, at: datetime
    ) -> Self:
        """The fact for the event of that id; there is one, so a second wish to skip it finds its place taken."""
        return cls(
            originator_id=skip_stream(event_id),
            originator_version=1,
            timestamp=at,
            log=log,
            position=position,
            skipped_id=str(event_id),
            skipped_stream=stream,
            skipped_name=name,
            reason=reason,
        )

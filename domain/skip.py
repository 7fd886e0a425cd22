"""Skips: an event that no read model shall count stays in its log, and that it is skipped is a fact of its own.

So is that it no longer is. The two take turns in a stream of the event's own.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from domain.aggregate import Event


def skip_stream(event_id: UUID) -> str:
    """Stream of what was decided about an event."""
    return f"skip-{event_id}"


class SkipDecision(Event, frozen=True, kw_only=True):
    """Somebody decided whether projections pass over an event."""

    log: str
    position: int
    skipped_id: str
    skipped_stream: str
    skipped_name: str
    reason: str

    @classmethod
    def record(
        cls,
        event_id: UUID,
        *,
        number: int,
        log: str,
        position: int,
        stream: str,
        name: str,
        reason: str,
        at: datetime,
    ) -> Self:
        """The decision about the event of that id; of two that are made at once the second finds its place taken.

        Args:
            event_id: the event's id.
            number: which decision about it this is, from 1.
            log: the event's log.
            position: its position there.
            stream: its stream.
            name: its stored name.
            reason: why.
            at: when it was decided.
        """
        return cls(
            originator_id=skip_stream(event_id),
            originator_version=number,
            timestamp=at,
            log=log,
            position=position,
            skipped_id=str(event_id),
            skipped_stream=stream,
            skipped_name=name,
            reason=reason,
        )


class EventSkipped(SkipDecision, frozen=True, kw_only=True):
    """Somebody decided that projections pass over an event: it was never true, or none of them can handle it."""

    TOPIC: ClassVar[str] = "event.skipped"


class EventUnskipped(SkipDecision, frozen=True, kw_only=True):
    """Somebody decided that projections count an event that was skipped."""

    TOPIC: ClassVar[str] = "event.unskipped"

"""Facts about messages that were not taken in."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from domain.aggregate import Event

FRAGMENT_CHARACTERS = 500
"""How much of a refused message's text the event keeps; the whole message is in the queue ``ingest.dead``."""


def dead_message_stream(message_id: UUID | str) -> str:
    """Stream of what became of a message that was not taken in."""
    return f"dead_message-{message_id}"


class MessageDeadLettered(Event, frozen=True, kw_only=True):
    """A message could not be read, broke its schema, was too large, or was refused by the domain."""

    TOPIC: ClassVar[str] = "ingest.message_dead_lettered"
    reason: str
    """``unreadable``, ``too_large``, ``unknown_type``, ``invalid``, or the name of the refusal."""
    detail: str
    message_type: str | None
    source: str | None
    source_event_id: str | None
    fragment: str

    @property
    def message_id(self) -> str:
        """The message's id in the whole system."""
        return self.originator_id.removeprefix(dead_message_stream(""))

    @classmethod
    def record(
        cls,
        message_id: UUID,
        *,
        reason: str,
        detail: str,
        at: datetime,
        fragment: str = "",
        message_type: str | None = None,
        source: str | None = None,
        source_event_id: str | None = None,
    ) -> Self:
        """The fact for the message known as ``message_id``; the same message gives the same stream, once."""
        return cls(
            originator_id=dead_message_stream(message_id),
            originator_version=1,
            timestamp=at,
            reason=reason,
            detail=detail,
            message_type=message_type,
            source=source,
            source_event_id=source_event_id,
            fragment=fragment[:FRAGMENT_CHARACTERS],
        )

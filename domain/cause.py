"""Causes: what made something happen, and the ids that follow from it.

Ids derive from causes, so that everything that happens twice collides with itself and counts once.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Who or what made an event happen.

    Attributes:
        id: id of the message, event, command or slot that caused it.
        at: when the cause occurred, UTC.
        actor: who is answerable: a service's source, a person, a component of ours.
        correlation_id: names the whole story; the first cause's id where nothing else is given.
        traceparent: W3C trace context of the cause, if it had one.
        tenant: whose data this is, if tenants are told apart.
        source_event_id: the id the sender gave its message, when a message was the cause.
        causation_id: what the sender says made it send the message; events name this as their cause where it is
            given, for the message itself is no entry of any log.
    """

    id: UUID
    at: datetime
    actor: str
    correlation_id: str = ""
    traceparent: str | None = None
    tenant: str | None = None
    source_event_id: str | None = None
    causation_id: str | None = None

    def event_id(self, ordinal: int) -> UUID:
        """Id of the ``ordinal``-th event (from 0) that this cause brings about; the same every time."""
        return uuid5(self.id, str(ordinal))

    def metadata(self) -> dict[str, Any]:
        """What is stored beside every event of this cause."""
        named = {
            "causation_id": self.causation_id or str(self.id),
            "correlation_id": self.correlation_id or str(self.id),
            "actor": self.actor,
            "traceparent": self.traceparent,
            "tenant": self.tenant,
            "source_event_id": self.source_event_id,
        }
        return {name: value for name, value in named.items() if value is not None}


def derived_run_id(cause: UUID, purpose: str, at: datetime) -> UUID:
    """The id of the run that ``cause`` asks for under ``purpose``: a UUIDv7 (RFC 9562) that is the same every time.

    Args:
        cause: id of the causing event or message.
        purpose: tells several runs of one cause apart (name of the policy or of the task).
        at: when the cause occurred; its milliseconds are the id's time, so that ids sort by time.
    """
    milliseconds = int(at.timestamp() * 1000)
    return time_ordered_id(milliseconds, hashlib.sha256(cause.bytes + purpose.encode()).digest())


def time_ordered_id(milliseconds: int, digest: bytes) -> UUID:
    """The UUIDv7 (RFC 9562) of a moment whose other bits are those of a digest.

    Args:
        milliseconds: since 1970.
        digest: of what is named, 10 bytes or more; 74 bits of it are kept.
    """
    noise = int.from_bytes(digest[:10])
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62
    return UUID(int=value | noise & (2**62 - 1))

"""Heartbeats: facts that no rule is asked about, packed by the batch."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from uuid import UUID

import msgspec

from domain.cause import Cause
from domain.heartbeat import Heartbeat, HeartbeatsReceived
from infra.event_store import NewEvent, caused
from tasks.ingest.rejection import ACTOR

_encoder = msgspec.json.Encoder()


def packed(heartbeats: Sequence[Heartbeat]) -> list[NewEvent]:
    """One event for all of them, none for none; the same heartbeats make the same event."""
    if not heartbeats:
        return []
    digest = sha1(_encoder.encode(heartbeats), usedforsecurity=False).digest()
    batch_id = UUID(bytes=digest[:16], version=5)
    event = HeartbeatsReceived.of(heartbeats, batch_id=batch_id)
    return caused([event], Cause(id=batch_id, at=event.timestamp, actor=ACTOR))

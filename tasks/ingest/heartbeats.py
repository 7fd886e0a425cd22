"""Heartbeats: facts that no rule is asked about, packed by the batch."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from uuid import UUID

import msgspec

from domain.cause import Cause
from domain.heartbeat import LARGEST_BATCH, Heartbeat, HeartbeatsReceived
from infra.event_store import NewEvent, caused
from tasks.ingest.rejection import ACTOR

_encoder = msgspec.json.Encoder()


def packed(heartbeats: Sequence[Heartbeat]) -> list[NewEvent]:
    """As few events as hold them all; the same heartbeats make the same events."""
    parts = (heartbeats[first : first + LARGEST_BATCH] for first in range(0, len(heartbeats), LARGEST_BATCH))
    return [new for part in parts for new in _packed(part)]


def _packed(heartbeats: Sequence[Heartbeat]) -> list[NewEvent]:
    digest = sha1(_encoder.encode(heartbeats), usedforsecurity=False).digest()
    batch_id = UUID(bytes=digest[:16], version=5)
    event = HeartbeatsReceived.of(heartbeats, batch_id=batch_id)
    return caused([event], Cause(id=batch_id, at=event.timestamp, actor=ACTOR))

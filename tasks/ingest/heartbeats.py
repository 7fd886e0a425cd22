"""Heartbeats: facts that no rule is asked about, packed by the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Final

import msgspec

from domain.cause import Cause, time_ordered_id
from domain.heartbeat import LARGEST_BATCH, Heartbeat, HeartbeatsReceived, by_month
from infra.event_store import NewEvent, caused
from tasks.ingest.rejection import ACTOR

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
_encoder = msgspec.json.Encoder()


def packed(heartbeats: Sequence[Heartbeat]) -> list[NewEvent]:
    """As few events as hold them all, none of two months; the same heartbeats make the same events."""
    return [new for month in by_month(heartbeats) for part in _parts(month) for new in _packed(part)]


def _parts(heartbeats: Sequence[Heartbeat]) -> Iterator[Sequence[Heartbeat]]:
    return (heartbeats[first : first + LARGEST_BATCH] for first in range(0, len(heartbeats), LARGEST_BATCH))


def _packed(heartbeats: Sequence[Heartbeat]) -> list[NewEvent]:
    digest = sha1(_encoder.encode(heartbeats), usedforsecurity=False).digest()
    earliest = min(heartbeat.at for heartbeat in heartbeats)
    batch_id = time_ordered_id((earliest - EPOCH) // MILLISECOND, digest)
    event = HeartbeatsReceived.of(heartbeats, batch_id=batch_id)
    return caused([event], Cause(id=batch_id, at=event.timestamp, actor=ACTOR))

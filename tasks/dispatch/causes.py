"""Stored events as causes of what dispatch does."""

from __future__ import annotations

from domain.cause import Cause
from infra.event_store import Recorded


def cause_of(recorded: Recorded, *, actor: str) -> Cause:
    """``recorded`` as the cause of something that ``actor`` brings about: the same story, the same trace."""
    known = recorded.metadata
    return Cause(
        id=recorded.event_id,
        at=recorded.event.timestamp,
        actor=actor,
        correlation_id=known.get("correlation_id", ""),
        traceparent=known.get("traceparent"),
        tenant=known.get("tenant"),
    )

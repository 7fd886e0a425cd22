"""Events as a follower reads them, without a store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from domain.aggregate import Event
from domain.task_run import SLOT_REQUESTED, TaskRequested, run_stream
from infra.event_store import Recorded

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def recorded(event: Event, *, event_id: UUID | None = None, position: int = 1, **metadata: str) -> Recorded:
    """``event`` as stored at ``position``."""
    return Recorded(
        position=position, event=event, event_id=event_id or uuid4(), metadata=metadata, recorded_at=event.timestamp
    )


def requested(task: str = "a.task", *, run_id: UUID | None = None, **fields: Any) -> TaskRequested:
    """The acceptance of a run."""
    return TaskRequested(
        originator_id=run_stream(run_id or uuid4()),
        originator_version=SLOT_REQUESTED,
        timestamp=NOW,
        task=task,
        **fields,
    )

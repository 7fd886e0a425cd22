"""Where the parts of a run's story hang: the parent of every span that is about an event of the log.

```text
publish events ─▶ process ingest ─▶ append <log> ─▶ publish tasks.<tier>
                                                     ├▶ process tasks.<tier>  (attempt 1)
                                                     └▶ process tasks.<tier>  (attempt 2) ─▶ process dead.record
```

Every stored event of a sampled story has a span ``append <log>``, under what brought the event about.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from domain.aggregate import Event
from domain.task_run import AttemptEvent, TaskDeadLettered, TaskPublished, run_stream
from infra.tracing import ids

LONG_WAIT: Final = timedelta(minutes=5)
"""An attempt that waits longer than this for its turn begins a trace of its own: nobody reads one of hours."""


def append_parent(event: Event, event_id: UUID, metadata: dict[str, Any]) -> str | None:
    """Id of the span that an event's ``append`` span hangs under; None where nothing before it has one."""
    run_id = event.originator_id.removeprefix(run_stream(""))
    if isinstance(event, TaskPublished):
        return ids.dispatched(run_id)
    if isinstance(event, TaskDeadLettered):
        return ids.buried(run_id)
    if isinstance(event, AttemptEvent):
        return ids.attempted(run_id, event.attempt)
    if "source_event_id" in metadata:  # a message told it
        return ids.ingested(event_id)
    cause = str(metadata.get("causation_id", ""))
    return ids.appended(cause) if cause else None

"""Where the parts of a run's story hang: the parent of the span of every event of the log.

```text
publish events ─▶ process ingest ─▶ append <log> ─▶ publish tasks.<tier>
                                                     ├▶ process tasks.<tier>  (attempt 1)
                                                     └▶ process tasks.<tier>  (attempt 2) ─▶ process dead.record
```

Every event of a sampled story has a span ``append <log>``, under what brought the event about.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from domain.aggregate import Event
from domain.task_run import AttemptEvent, TaskDeadLettered, TaskPublished, run_stream
from infra.tracing import ids
from infra.tracing.ids import Story

LONG_WAIT: Final = timedelta(minutes=5)
"""An attempt that waits longer than this for its turn begins a trace of its own: nobody reads one of hours."""
_POLICY: Final = "policy:"
"""How the actor begins where a policy asked; the cause is then an event of a log."""


def append_parent(event: Event, metadata: dict[str, Any], story: Story) -> str | None:
    """Id of the span that an event's ``append`` span hangs under, as far as the log knows; None where it is a root.

    Args:
        event: the event.
        metadata: what is stored beside it.
        story: the trace that follows from that.
    """
    run_id = event.originator_id.removeprefix(run_stream(""))
    if isinstance(event, TaskPublished):
        return ids.dispatched(run_id)
    if isinstance(event, TaskDeadLettered):
        return ids.buried(run_id)
    if isinstance(event, AttemptEvent):
        return ids.attempted(run_id, event.attempt)
    if source_event_id := metadata.get("source_event_id"):  # a message told it
        return ids.ingested(story.trace_id, source_event_id)
    if str(metadata.get("actor", "")).startswith(_POLICY):
        return ids.appended(str(metadata.get("causation_id")))
    return story.above

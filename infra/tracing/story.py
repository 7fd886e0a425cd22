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
from domain.ingest import MessageDeadLettered
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
    if (of_its_run := _of_its_run(event)) is not None:
        return of_its_run
    if isinstance(event, MessageDeadLettered) and story.told is not None:
        return ids.ingested(story.trace_id, event.source_event_id or event.message_id)
    if source_event_id := metadata.get("source_event_id"):  # a message told it
        return ids.ingested(story.trace_id, source_event_id)
    if str(metadata.get("actor", "")).startswith(_POLICY):
        return ids.appended(str(metadata.get("causation_id")))
    return story.above


def _of_its_run(event: Event) -> str | None:
    """The step of a run that the event tells of; None where it tells of none."""
    run_id = event.originator_id.removeprefix(run_stream(""))
    match event:
        case TaskPublished():
            return ids.dispatched(run_id)
        case TaskDeadLettered():
            return ids.buried(run_id)
        case AttemptEvent():
            return ids.attempted(run_id, event.attempt)
        case _:
            return None

"""Stories of runs for tests about past traces: told as the platform records them, traced and not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from domain.aggregate import Event
from infra.event_store import Log
from infra.tracing import Context, ids
from projections.traces.past import Fact, PastRun
from projections.traces.spans import Told
from projections.traces.tree import trees
from tests.projections.histories import at, minted, requested, told

RUN = "r-1"
REPLAY = "r-2"
STORY = "order 7"
TRACE = ids.trace_id(STORY)
ON: dict[str, Any] = {"queue": "tasks.normal", "worker": "w1"}
RETRY: dict[str, Any] = {"spent_by": "exception", "error_type": "OSError", "error": "busy", **ON}
FAILED: dict[str, Any] = {"error_type": "OSError", "error": "busy", **ON}
PUBLISHED: dict[str, Any] = {"queue": "tasks.normal", "priority": 2}


def asked(run: str = RUN, seconds: float = 0, **data: Any) -> list[Event]:
    """A run that was asked for, and published a tenth of a second later."""
    return [requested(run, seconds, **data), told(run, "published", seconds + 0.1, **PUBLISHED)]


def succeeded() -> list[Event]:
    began = told(RUN, "started", 1, attempt=1, **ON)
    return [*asked(), began, told(RUN, "succeeded", 2, attempt=1, runtime_seconds=0.75, **ON)]


def died(*, delay_seconds: float = 5.0) -> list[Event]:
    """A run that waits for its paused task, fails, waits, fails again and is dead-lettered."""
    later = 3 + delay_seconds
    return [
        *asked(),
        told(RUN, "received", 0.5, attempt=1, because="paused", **ON),
        told(RUN, "started", 1, attempt=1, **ON),
        told(RUN, "retry_scheduled", 2, attempt=1, delay_seconds=delay_seconds, runtime_seconds=0.5, **RETRY),
        told(RUN, "started", later, attempt=2, **ON),
        told(RUN, "failed", later + 1, attempt=2, runtime_seconds=1.0, **FAILED),
        told(RUN, "dead_lettered", later + 1.5, reason="rejected", queue="tasks.normal"),
    ]


def facts(events: Iterable[Event], **metadata: str) -> list[Fact]:
    """The events as they are recorded, a millisecond after they occurred."""
    return [
        Fact(
            Log.TASKS,
            event,
            minted(event.originator_id, event.originator_version),
            {"correlation_id": STORY, **metadata},
            at((event.timestamp - at(0)).total_seconds() + 0.001),
        )
        for event in events
    ]


def traced(events: Sequence[Event]) -> list[Fact]:
    """The facts of a run whose processes all trace: its messages name the spans they come from."""
    emitted = Context(TRACE, ids.emitted("m-1"), is_sampled=True)
    dispatched = Context(TRACE, ids.dispatched(RUN), is_sampled=True)
    asking = {"traceparent": emitted.traceparent, "causation_id": "m-1", "source_event_id": "77", "actor": "ada"}
    doing = {"traceparent": dispatched.traceparent, "source_event_id": "r-1/1", "actor": "w1"}
    by_dispatch = {"traceparent": emitted.traceparent, "actor": "ledgerq/dispatch"}
    told_by = {"task.requested": asking, "task.published": by_dispatch}
    return [fact for event in events for fact in facts([event], **told_by.get(event.name, doing))]


def run(events: Iterable[Event], **metadata: str) -> PastRun:
    return PastRun(RUN, facts(events, **metadata))


def drawn(spans: Sequence[Told]) -> dict[str, list[str]]:
    """Each trace with what hangs under what by its indentation."""
    return {
        trace_id: [
            "  " * (len(branch.lead) // 2)
            + branch.told.span.name
            + (f" !{error}" if (error := branch.told.span.error) else "")
            for branch in branches
        ]
        for trace_id, branches in trees(spans).items()
    }

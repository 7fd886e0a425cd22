"""Spans of runs being published, ``publish tasks.<tier>``: every attempt of a run hangs under it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from infra.broker.confirmation import Confirmation
from infra.broker.frames import OutgoingMessage
from infra.event_store import Recorded
from infra.tracing import Link, Span, Story, current, harmless, ids, names
from infra.tracing.messaging import about_message
from infra.tracing.names import Kind

if TYPE_CHECKING:
    from tasks.dispatch.parcel import OutgoingRun


def traceparent(run_id: str, metadata: dict[str, Any]) -> str | None:
    """The trace context that a run's message carries: where tracing is off, that of its request."""
    tracer, known = current(), metadata.get("traceparent")
    carried = None if known is None else str(known)
    if tracer is not None:
        with harmless:
            carried = tracer.story(metadata).at(ids.dispatched(run_id)).traceparent
    return carried


def tell_dispatched(
    runs: Sequence[OutgoingRun], answers: Sequence[Confirmation], *, began: datetime, ended: datetime
) -> None:
    """Tell of those of some runs that the broker has confirmed; the others are published again, as the same span."""
    tracer = current()
    if tracer is None:
        return
    with harmless:
        for run, answer in zip(runs, answers, strict=True):
            story = tracer.story(run.requested.metadata)
            if story.is_sampled and answer.confirmed:
                tracer.send(_span(run.requested, run.message, story, began=began, ended=ended))


def _span(requested: Recorded, message: OutgoingMessage, story: Story, *, began: datetime, ended: datetime) -> Span:
    run_id = str(message.correlation_id)
    above = ids.appended(requested.event_id)
    said = about_message(
        names.PUBLISH,
        exchange=message.exchange,
        routing_key=message.routing_key,
        message_id=message.message_id,
        conversation_id=requested.metadata.get("correlation_id"),
        body_size=len(message.body),
    )
    ours = {
        names.RUN_ID: run_id,
        names.TASK: str((message.headers or {}).get("task")),
        names.PRIORITY: message.priority,
        names.LICENSE_ID: (message.headers or {}).get("ledgerq-license-id"),
    }
    return Span(
        name=names.span_name(names.PUBLISH, message.routing_key),
        kind=Kind.PRODUCER,
        context=story.at(ids.dispatched(run_id)),
        parent=above,
        began=began,
        ended=ended,
        attributes={**said, **ours},
        links=[Link(story.at(above), names.LINK_APPENDED)],
    )

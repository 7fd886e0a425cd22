"""Spans of events being stored: ``append <log>``, one for each event of a sampled story."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from domain.aggregate import Event
from infra.tracing import ids, names
from infra.tracing.names import Kind
from infra.tracing.span import Span
from infra.tracing.story import append_parent
from infra.tracing.tracer import Tracer, active_context

UNTRACED: Final = "heartbeats"
"""The log of what is no story: heartbeats, markers, windows."""


def tell_appended(
    tracer: Tracer, log: str, stored: Iterable[tuple[Event, UUID, dict[str, Any]]], *, began: datetime
) -> None:
    """Send the spans of what has been stored.

    Args:
        tracer: sends.
        log: name of the log.
        stored: events, their ids and what stands beside them.
        began: when the transaction did.
    """
    if log == UNTRACED:
        return
    ended = datetime.now(UTC)
    active = active_context()  # of a task that appends: its attempt
    for event, event_id, metadata in stored:
        story = tracer.story(metadata)
        if not story.is_sampled:
            continue
        is_ours = active is not None and active.trace_id == story.trace_id
        tracer.send(
            Span(
                name=names.span_name(names.APPEND, log),
                kind=Kind.INTERNAL,
                context=story.at(ids.appended(event_id)),
                parent=active.span_id if active is not None and is_ours else append_parent(event, metadata, story),
                began=began,
                ended=ended,
                attributes={
                    names.LOG: log,
                    names.EVENT_NAME: event.TOPIC,
                    names.EVENT_ID: str(event_id),
                    names.STREAM: event.originator_id,
                    names.VERSION: event.originator_version,
                    names.ACTOR: metadata.get("actor"),
                    names.CORRELATION_ID: metadata.get("correlation_id"),
                },
            )
        )

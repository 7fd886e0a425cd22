"""Spans of messages being taken in: ``process ingest`` and, of dead letters, ``process dead.record``.

A message of a sampled story has one of its own, under the publishing of it and linked to that; those of a batch that
holds any are linked with the batch's, ``receive ingest``, which is a root. What workers tell of attempts has none: its
``append`` hangs under the attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from domain.messages import LIFECYCLE
from domain.task_run import TaskDeadLettered, run_stream
from infra.broker.topology import DEAD, DEAD_RECORD, EVENTS, INGEST
from infra.tracing import Context, Link, Span, Story, Tracer, current, harmless, ids, names
from infra.tracing.messaging import about_message
from infra.tracing.names import Kind
from tasks.ingest.delivery import Delivery
from tasks.ingest.reading import Told, traceparent_of
from tasks.ingest.rejection import Rejected
from tasks.ingest.runs import Decided

_REJECTED: Final = "rejected"
"""Reason of a death that a worker wished for; of any other, no worker knows."""


def tell_ingested(told: Sequence[Told], rejected: Sequence[Rejected], *, messages: int) -> None:
    """Tell of a batch that has been stored.

    Args:
        told: what its messages say.
        rejected: what was not taken in.
        messages: how many there were.
    """
    tracer = current()
    if tracer is None:
        return
    with harmless:
        refused = {each.message_id: each for each in rejected}
        batch = Context(ids.trace_id(str(uuid4())), ids.emitted(uuid4()), is_sampled=True)
        spans = []
        for each in told:
            reason = refused.pop(each.event.unique_id, None)
            story = _story(each, tracer)
            if story.is_sampled and each.event.type not in LIFECYCLE:
                spans.append(_ingested(each, story, reason, batch))
        spans += [_unread(each, above, batch) for each in refused.values() if (above := _above(each.delivery))]
        for span in spans:
            tracer.send(span)
        if spans:
            tracer.send(_batch(batch, spans, messages))


def tell_buried(decided: Sequence[Decided], deliveries: Sequence[Delivery]) -> None:
    """Tell of dead letters that have been recorded."""
    tracer = current()
    if tracer is None:
        return
    with harmless:
        for each, delivery in zip(decided, deliveries, strict=True):
            story = tracer.story(each.cause.metadata())
            if story.is_sampled and isinstance(each.event, TaskDeadLettered):
                tracer.send(_buried(each.event, each, story, delivery))


def _story(told: Told, tracer: Tracer) -> Story:
    cause = told.cause
    return Story.of(cause.traceparent, cause.correlation_id or str(cause.id), ratio=tracer.ratio)


def _above(delivery: Delivery) -> Context | None:
    """Where a message that could not be read says it comes from, if that is sampled."""
    found = Context.read(traceparent_of(delivery.headers))
    return found if found is not None and found.is_sampled else None


def _ingested(told: Told, story: Story, refused: Rejected | None, batch: Context) -> Span:
    cause = told.cause
    said = about_message(
        names.PROCESS,
        exchange=EVENTS,
        routing_key=told.event.type,
        queue=INGEST,
        message_id=str(cause.id),
        conversation_id=cause.correlation_id or str(cause.id),
        body_size=len(told.event.data),
    )
    return Span(
        name=names.span_name(names.PROCESS, INGEST),
        kind=Kind.CONSUMER,
        context=story.at(ids.ingested(story.trace_id, told.event.id)),
        parent=story.above,
        began=told.parts.received_at,
        ended=datetime.now(UTC),
        attributes={**said, names.EVENT_NAME: told.event.type, names.ACTOR: cause.actor},
        links=_links(story.told, batch),
        error=refused.reason if refused else None,
    )


def _unread(rejected: Rejected, above: Context, batch: Context) -> Span:
    said = about_message(
        names.PROCESS,
        exchange=EVENTS,
        routing_key=rejected.message_type or "",
        queue=INGEST,
        message_id=str(rejected.message_id),
        body_size=len(rejected.delivery.body),
    )
    return Span(
        name=names.span_name(names.PROCESS, INGEST),
        kind=Kind.CONSUMER,
        context=above.at(ids.ingested(above.trace_id, rejected.source_event_id or str(rejected.message_id))),
        parent=above.span_id,
        began=rejected.delivery.received_at,
        ended=datetime.now(UTC),
        attributes=said,
        links=_links(above, batch),
        error=rejected.reason,
    )


def _links(published: Context | None, batch: Context) -> list[Link]:
    links = [Link(batch, names.LINK_BATCH)]
    return links if published is None else [Link(published, names.LINK_PUBLISHED), *links]


def _batch(context: Context, spans: Sequence[Span], messages: int) -> Span:
    said = about_message(names.RECEIVE, exchange="", routing_key="", queue=INGEST)
    return Span(
        name=names.span_name(names.RECEIVE, INGEST),
        kind=Kind.CLIENT,
        context=context,
        parent=None,
        began=min(span.began for span in spans),
        ended=datetime.now(UTC),
        attributes={**said, names.BATCH_COUNT: messages},
        links=[
            Link(span.context, names.PROCESS, {names.MESSAGE_ID: span.attributes[names.MESSAGE_ID]})
            for span in spans[: names.MOST_LINKS]
        ],
    )


def _buried(dead: TaskDeadLettered, decided: Decided, story: Story, delivery: Delivery) -> Span:
    run_id = dead.originator_id.removeprefix(run_stream(""))
    said = about_message(
        names.PROCESS,
        exchange=DEAD,
        routing_key=dead.queue or "",
        queue=DEAD_RECORD,
        message_id=delivery.message_id,
        conversation_id=decided.cause.correlation_id,
        body_size=len(delivery.body),
    )
    had_worker = dead.reason == _REJECTED
    return Span(
        name=names.span_name(names.PROCESS, DEAD_RECORD),
        kind=Kind.CONSUMER,
        context=story.at(ids.buried(run_id)),
        parent=ids.attempted(run_id, decided.attempt) if had_worker else story.above,
        began=delivery.received_at,
        ended=datetime.now(UTC),
        attributes={**said, names.RUN_ID: run_id, names.TASK: dead.task, names.REASON: dead.reason},
        links=[Link(story.told, names.LINK_PUBLISHED)] if story.told else [],
    )

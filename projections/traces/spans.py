"""The platform's spans of a run, made of its events; names, ids, parents and links are those of the live ones.

The log knows instants where a live span has a length: a message being taken in, an event being stored, a run being
published. Those spans have none here. An attempt has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from domain.dead_letter import LetterDecision
from domain.task_run import TaskDeadLettered, TaskPublished, TaskRequested
from infra.broker.topology import DEAD, DEAD_RECORD, EVENTS, INGEST, TASKS
from infra.tracing import Context, Link, Span, ids, names
from infra.tracing.messaging import about_message
from infra.tracing.names import Kind
from infra.tracing.span import Attributes
from infra.tracing.story import append_parent
from projections.traces.attempts import attempt_spans, published
from projections.traces.past import Fact, PastRun

_REJECTED: Final = "rejected"
"""Reason of a death that a worker wished for."""


class Told(NamedTuple):
    """A span, and the process that sends such spans."""

    service: str
    span: Span


def told_of(runs: Sequence[PastRun]) -> list[Told]:
    """The spans of runs, each once, in order of time within their trace."""
    found: dict[Context, Told] = {}
    known = {run.run_id: run for run in runs}
    for run in runs:
        for told in _told(run, known):
            found.setdefault(told.span.context, told)
    return sorted(found.values(), key=lambda told: told.span.began)


def _told(run: PastRun, known: Mapping[str, PastRun]) -> Iterator[Told]:
    for fact in reversed(run.causes):
        yield from _stored(fact, known)
    if (replay := _replay(run)) is not None:
        yield Told("command", replay)
    for fact in run.facts:
        yield from _stored(fact, known)
        if isinstance(fact.event, TaskPublished):
            yield Told("dispatch", _dispatched(run, fact, fact.event))
        if isinstance(fact.event, TaskDeadLettered):
            yield Told("ingest", _buried(run, fact, fact.event))
    yield from (Told("worker", span) for span in attempt_spans(run))


def _stored(fact: Fact, known: Mapping[str, PastRun]) -> Iterator[Told]:
    """An event being stored and, where a message of its own told it, that being taken in."""
    story, source_event_id = fact.story, fact.metadata.get("source_event_id")
    parent = _within(fact, known) or append_parent(fact.event, fact.metadata, story)
    if source_event_id is not None and parent == ids.ingested(story.trace_id, source_event_id):
        if (emitted := _emitted(fact)) is not None:
            yield Told("service", emitted)
        yield Told("ingest", _ingested(fact, source_event_id))
    attributes = {
        names.LOG: fact.log.value,
        names.EVENT_NAME: fact.event.TOPIC,
        names.EVENT_ID: str(fact.event_id),
        names.STREAM: fact.event.originator_id,
        names.VERSION: fact.event.originator_version,
        names.ACTOR: fact.metadata.get("actor"),
        names.CORRELATION_ID: fact.metadata.get("correlation_id"),
    }
    context = story.at(ids.appended(fact.event_id))
    name = names.span_name(names.APPEND, fact.log.value)
    yield Told(_writer(fact), _instant(name, Kind.INTERNAL, context, parent, fact, attributes))


def _within(fact: Fact, known: Mapping[str, PastRun]) -> str | None:
    """Id of the span of the attempt whose task recorded the event; None where no task did, or its run is not known."""
    run = known.get(fact.recorder or "")
    number = run.attempt_at(fact.recorded_at) if run else None
    return ids.attempted(run.run_id, number) if run and number else None


def _writer(fact: Fact) -> str:
    """The process that stores such events."""
    if fact.recorder is not None:
        return "worker"
    if "source_event_id" in fact.metadata or isinstance(fact.event, TaskDeadLettered):
        return "ingest"
    is_replay = isinstance(fact.event, TaskRequested) and fact.event.replay_of is not None
    return "command" if is_replay or isinstance(fact.event, LetterDecision) else "dispatch"


def _emitted(fact: Fact) -> Span | None:
    """A message being published, where it was our emitter that did and began the trace with it."""
    story, message_id = fact.story, _message_id(fact)
    begins_trace = story.trace_id == ids.trace_id(str(fact.metadata.get("correlation_id")))
    if not begins_trace or story.above != ids.emitted(message_id):
        return None
    said = about_message(
        names.PUBLISH,
        exchange=EVENTS,
        routing_key=fact.event.TOPIC,
        message_id=message_id,
        conversation_id=fact.metadata.get("correlation_id"),
    )
    at = fact.event.timestamp
    name = names.span_name(names.PUBLISH, EVENTS)
    attributes = {**said, names.EVENT_NAME: fact.event.TOPIC}
    return Span(name, Kind.PRODUCER, story.at(ids.emitted(message_id)), None, at, at, attributes)


def _message_id(fact: Fact) -> str:
    """The message that told it: a story that it began is called after it, where it named another cause."""
    story, begun = fact.story, str(fact.metadata.get("correlation_id"))
    return begun if story.above == ids.emitted(begun) else str(fact.metadata.get("causation_id"))


def _ingested(fact: Fact, source_event_id: str) -> Span:
    story = fact.story
    said = about_message(
        names.PROCESS,
        exchange=EVENTS,
        routing_key=fact.event.TOPIC,
        queue=INGEST,
        message_id=_message_id(fact),
        conversation_id=fact.metadata.get("correlation_id"),
    )
    attributes = {**said, names.EVENT_NAME: fact.event.TOPIC, names.ACTOR: fact.metadata.get("actor")}
    context = story.at(ids.ingested(story.trace_id, source_event_id))
    name = names.span_name(names.PROCESS, INGEST)
    return _instant(name, Kind.CONSUMER, context, story.above, fact, attributes, links=published(story.told))


def _dispatched(run: PastRun, fact: Fact, sent: TaskPublished) -> Span:
    request, story = run.request, run.story
    above = ids.appended(request.event_id) if request else None
    asked = request.event if request and isinstance(request.event, TaskRequested) else None
    said = about_message(
        names.PUBLISH,
        exchange=TASKS,
        routing_key=sent.queue,
        message_id=str(request.event_id) if request else None,
        conversation_id=fact.metadata.get("correlation_id"),
    )
    ours: Attributes = {
        names.RUN_ID: run.run_id,
        names.TASK: sent.task,
        names.PRIORITY: sent.priority,
        names.LICENSE_ID: asked.license_id if asked else None,
    }
    return Span(
        name=names.span_name(names.PUBLISH, sent.queue),
        kind=Kind.PRODUCER,
        context=story.at(ids.dispatched(run.run_id)),
        parent=above,
        began=sent.timestamp,
        ended=sent.timestamp,
        attributes={**said, **ours},
        links=[Link(story.at(above), names.LINK_APPENDED)] if above else [],
    )


def _buried(run: PastRun, fact: Fact, dead: TaskDeadLettered) -> Span:
    story = fact.story
    above, last = run.above(story), max(run.attempts, default=0)
    had_worker = dead.reason == _REJECTED and last > 0
    said = about_message(
        names.PROCESS,
        exchange=DEAD,
        routing_key=dead.queue or "",
        queue=DEAD_RECORD,
        conversation_id=fact.metadata.get("correlation_id"),
    )
    attributes = {**said, names.RUN_ID: run.run_id, names.TASK: dead.task, names.REASON: dead.reason}
    context = story.at(ids.buried(run.run_id))
    parent = ids.attempted(run.run_id, last) if had_worker else above.span_id if above else None
    name = names.span_name(names.PROCESS, DEAD_RECORD)
    return _instant(name, Kind.CONSUMER, context, parent, fact, attributes, links=published(above))


def _replay(run: PastRun) -> Span | None:
    """The root of a run that is a replay, linked to what it is the replay of; None where it has no trace of its own."""
    root, request, before = ids.replayed(run.run_id, is_sampled=True), run.request, run.replaced
    if request is None or request.story.above != root.span_id or before is None:
        return None
    dead = before.fact(TaskDeadLettered)
    links = []
    if dead is not None:
        story = dead.story
        first = before.above(story) or story.at(ids.dispatched(before.run_id))
        links = [
            Link(story.at(ids.buried(before.run_id)), names.LINK_DEAD_LETTER),
            Link(first, names.LINK_FIRST_PUBLISHED),
        ]
    at = request.event.timestamp
    task = getattr(request.event, "task", None)
    attributes: Attributes = {names.RUN_ID: run.run_id, names.TASK: task, names.ACTOR: request.metadata.get("actor")}
    return Span(names.span_name(names.REPLAY, DEAD), Kind.INTERNAL, root, None, at, at, attributes, links)


def _instant(
    name: str,
    kind: Kind,
    context: Context,
    parent: str | None,
    fact: Fact,
    attributes: Attributes,
    links: Sequence[Link] = (),
) -> Span:
    """A span of which the log knows when the event was recorded."""
    return Span(name, kind, context, parent, fact.recorded_at, fact.recorded_at, attributes, links)

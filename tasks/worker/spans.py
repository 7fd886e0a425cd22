"""Spans of attempts, ``process tasks.<tier>``: side by side under the publishing of their run.

The worker's main process tells of an attempt, when its outcome is known: so it has its span whoever ends it, also where
its child is killed. The child knows the span's id beforehand (`tasks.worker.within`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from domain.task_run import TaskRetryScheduled
from infra.broker.topology import TASKS
from infra.tracing import Context, Link, Mark, Span, Story, Tracer, current, harmless, ids, names
from infra.tracing.messaging import about_message
from infra.tracing.names import Kind
from infra.tracing.span import Attributes
from infra.tracing.story import LONG_WAIT
from tasks.worker.attempt import Attempt
from tasks.worker.verdict import Fate, Verdict

if TYPE_CHECKING:
    from tasks.worker.in_hand import InHand

HANDED_OVER: Final = "handed over"
SNOOZE: Final = "snooze"


def tell_attempt(in_hand: InHand, verdict: Verdict, *, runtime_seconds: float | None) -> None:
    """Tell of an attempt that has come to ``verdict``."""
    tracer = current()
    if tracer is None:
        return
    with harmless:
        story = _story(in_hand.attempt, tracer)
        if not story.is_sampled:
            return
        now = datetime.now(UTC)
        began = in_hand.started_at or now
        ended = now if runtime_seconds is None else min(now, began + timedelta(seconds=runtime_seconds))
        span = _attempt(in_hand, story, verdict, began=began, ended=ended)
        tracer.send(span)
        root = _root(in_hand.attempt, story, verdict)
        if root is not None:
            tracer.send(_retry(in_hand.attempt, root, span.context, story, at=now))


def next_traceparent(attempt: Attempt, delay: timedelta) -> str | None:
    """The trace that the next attempt begins; None where it stays in this one's, or tracing is off."""
    tracer = current()
    if tracer is None or delay <= LONG_WAIT:
        return None
    with harmless:
        return _new_trace(attempt, _story(attempt, tracer)).traceparent
    return None


def _story(attempt: Attempt, tracer: Tracer) -> Story:
    envelope = attempt.envelope
    if envelope is None:
        return Story.of(attempt.traceparent, attempt.run_id, ratio=tracer.ratio)
    return Story.of(envelope.traceparent, envelope.correlation_id, ratio=tracer.ratio)


def _new_trace(attempt: Attempt, story: Story) -> Context:
    return ids.retried(attempt.run_id, attempt.number + 1, is_sampled=story.is_sampled)


def _root(attempt: Attempt, story: Story, verdict: Verdict) -> Context | None:
    """The root of the trace that the next attempt begins, if it does."""
    if verdict.following is None or verdict.following.delay <= LONG_WAIT:
        return None
    return _new_trace(attempt, story)


def _attempt(in_hand: InHand, story: Story, verdict: Verdict, *, began: datetime, ended: datetime) -> Span:
    attempt = in_hand.attempt
    is_error = "error_type" in verdict.data and verdict.data.get("spent_by") != SNOOZE
    return Span(
        name=names.span_name(names.PROCESS, attempt.queue),
        kind=Kind.CONSUMER,
        context=story.at(ids.attempted(attempt.run_id, attempt.number)),
        parent=story.above,
        began=began,
        ended=ended,
        attributes={
            **(in_hand.span_attributes or {}),
            **_about(attempt, names.PROCESS),
            names.PRIORITY: in_hand.message.properties.get("priority"),
            names.LICENSE_ID: attempt.envelope.license_id if attempt.envelope else None,
            names.OUTCOME: verdict.name or HANDED_OVER,
            names.WORKER: attempt.worker,
        },
        links=list(_links(attempt, story)),
        marks=list(_marks(attempt, story, verdict, ended)),
        error=str(verdict.data["error_type"]) if is_error else None,
    )


def _about(attempt: Attempt, operation: str) -> Attributes:
    said = about_message(
        operation,
        exchange=TASKS,
        routing_key=attempt.queue,
        message_id=f"{attempt.run_id}/{attempt.number}",
        conversation_id=attempt.envelope.correlation_id if attempt.envelope else None,
    )
    return {**said, names.RUN_ID: attempt.run_id, names.TASK: attempt.task, names.ATTEMPT: attempt.number}


def _links(attempt: Attempt, story: Story) -> Iterator[Link]:
    if story.told is not None:
        yield Link(story.told, names.LINK_PUBLISHED)
    begins_trace = story.told == ids.retried(attempt.run_id, attempt.number, is_sampled=True)
    if attempt.number > 1 and not begins_trace:  # else its root has the link
        yield Link(story.at(ids.attempted(attempt.run_id, attempt.number - 1)), names.LINK_PREVIOUS_ATTEMPT)


def _marks(attempt: Attempt, story: Story, verdict: Verdict, at: datetime) -> Iterator[Mark]:
    if verdict.name == TaskRetryScheduled.TOPIC:
        root = _root(attempt, story, verdict)
        said = {names.DELAY_SECONDS: verdict.data["delay_seconds"], names.REASON: verdict.data["spent_by"]}
        yield Mark(names.RETRY_SCHEDULED, at, {**said, names.NEXT_TRACE: root.trace_id if root else None})
    if verdict.fate is Fate.DEAD_LETTERED:
        yield Mark(names.DEAD_LETTERED, at)


def _retry(attempt: Attempt, root: Context, before: Context, story: Story, *, at: datetime) -> Span:
    """The root of the trace of an attempt that comes long after the one before it."""
    links = [Link(before, names.LINK_PREVIOUS_ATTEMPT)]
    if story.told is not None:
        links.append(Link(story.told, names.LINK_PUBLISHED))
    following = attempt._replace(number=attempt.number + 1)
    return Span(
        name=names.span_name(names.PUBLISH, attempt.queue),
        kind=Kind.PRODUCER,
        context=root,
        parent=None,
        began=at,
        ended=at,
        attributes=_about(following, names.PUBLISH),
        links=links,
    )

"""Spans of attempts from the log: begun with ``task.started``, ended with what they came to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from domain.task_run import (
    AttemptEvent,
    TaskEnd,
    TaskExpired,
    TaskFailure,
    TaskOutcomeIgnored,
    TaskReceived,
    TaskRequested,
    TaskRetryScheduled,
    TaskRevoked,
    TaskStarted,
)
from domain.wait import TaskWaitBegan
from infra.broker.topology import TASKS
from infra.tracing import Context, Link, Mark, Span, Story, ids, names
from infra.tracing.messaging import about_message
from infra.tracing.names import Kind
from infra.tracing.span import Attributes
from projections.traces.past import Fact, PastRun

HELD: Final = "task.held"
"""Span event: its message went back into the delay ladder as the same attempt, for a reason that it says."""
IS_OPEN: Final = "ledgerq.span.is_open"
"""That nothing is recorded of the span's end yet; it is told as long as what is known of it."""
_SNOOZE: Final = "snooze"
_NO_DEATH: Final = (TaskRevoked, TaskExpired)


class Tried(NamedTuple):
    """An attempt of a run as the log has it: at least one of its events."""

    run: PastRun
    number: int
    facts: list[Fact]

    @property
    def story(self) -> Story:
        """The trace that it is in: that of its message."""
        return self.facts[-1].story

    @property
    def context(self) -> Context:
        """Its span."""
        return self.story.at(ids.attempted(self.run.run_id, self.number))

    @property
    def started(self) -> TaskStarted | None:
        """When a child began it; None where none did."""
        return next((fact.event for fact in self.facts if isinstance(fact.event, TaskStarted)), None)

    @property
    def outcome(self) -> AttemptEvent | None:
        """What it came to: what counted or, where nothing did, what was ignored."""
        came_to = [
            fact.event for fact in self.facts if isinstance(fact.event, TaskRetryScheduled | TaskWaitBegan | TaskEnd)
        ]
        ignored = [fact.event for fact in self.facts if isinstance(fact.event, TaskOutcomeIgnored)]
        return next(iter([*came_to, *ignored]), None)

    @property
    def began(self) -> datetime:
        """When its span does."""
        first = self.started or self.outcome
        return first.timestamp if first else self.facts[0].event.timestamp

    @property
    def ended(self) -> datetime:
        """When its span does: it ran as long as its worker says; an open one ends as it begins."""
        if self.outcome is None:
            return self.began
        runtime: float | None = getattr(self.outcome, "runtime_seconds", None)
        if self.started is None or runtime is None:
            return max(self.began, self.outcome.timestamp)
        return min(max(self.began, self.outcome.timestamp), self.began + timedelta(seconds=runtime))

    @property
    def follower(self) -> Context | None:
        """The root of the trace that the next attempt began; None where it stayed in this one, or is not known."""
        following = self.run.attempts.get(self.number + 1)
        root = ids.retried(self.run.run_id, self.number + 1, is_sampled=True)
        return root if following and following[-1].story.above == root.span_id else None

    def said(self, name: str) -> Any:
        """What its events say, the first that says anything."""
        values = (getattr(fact.event, name, None) for fact in self.facts)
        return next((value for value in values if value is not None), None)


def attempt_spans(run: PastRun) -> Iterator[Span]:
    """The spans of all attempts, and of the publishings of those that began a trace."""
    for number, facts in run.attempts.items():
        tried = Tried(run, number, facts)
        yield _attempt(tried)
        if tried.follower is not None:
            yield _begun(tried, tried.follower)


def published(above: Context | None) -> list[Link]:
    """The link of what was consumed with its publishing, if that is known."""
    return [Link(above, names.LINK_PUBLISHED)] if above else []


def _attempt(tried: Tried) -> Span:
    story, outcome, above = tried.story, tried.outcome, tried.run.above(tried.story)
    error = getattr(outcome, "error_type", None)
    is_error = error is not None and getattr(outcome, "spent_by", None) != _SNOOZE
    request = tried.run.fact(TaskRequested)
    asked_license = getattr(request.event, "license_id", None) if request else None
    attributes: Attributes = {
        **_about(tried, names.PROCESS, tried.number),
        names.PRIORITY: tried.said("priority"),
        names.LICENSE_ID: tried.said("license_id") or asked_license,
        names.OUTCOME: _named(outcome),
        names.WORKER: tried.said("worker"),
        IS_OPEN: True if outcome is None else None,
    }
    begins_trace = story.above == ids.retried(tried.run.run_id, tried.number, is_sampled=True).span_id
    before = story.at(ids.attempted(tried.run.run_id, tried.number - 1))
    follows = tried.number > 1 and not begins_trace
    return Span(
        name=names.span_name(names.PROCESS, tried.said("queue") or "unknown"),
        kind=Kind.CONSUMER,
        context=tried.context,
        parent=above.span_id if above else None,
        began=tried.began,
        ended=tried.ended,
        attributes=attributes,
        links=[*published(above), *([Link(before, names.LINK_PREVIOUS_ATTEMPT)] if follows else [])],
        marks=list(_marks(tried)),
        error=str(error) if is_error else None,
    )


def _named(outcome: AttemptEvent | None) -> str | None:
    if isinstance(outcome, TaskOutcomeIgnored):
        return f"task.{outcome.outcome.removeprefix('task.')}"
    return outcome.TOPIC if outcome else None


def _about(tried: Tried, operation: str, number: int) -> Attributes:
    said = about_message(
        operation,
        exchange=TASKS,
        routing_key=tried.said("queue") or "",
        message_id=f"{tried.run.run_id}/{number}",
        conversation_id=tried.facts[-1].metadata.get("correlation_id"),
    )
    return {**said, names.RUN_ID: tried.run.run_id, names.TASK: tried.said("task"), names.ATTEMPT: number}


def _marks(tried: Tried) -> Iterator[Mark]:
    for fact in tried.facts:
        if isinstance(fact.event, TaskReceived):
            yield Mark(HELD, fact.event.timestamp, {names.REASON: fact.event.because or "eta"})
    match tried.outcome:
        case TaskRetryScheduled(delay_seconds=delay, spent_by=spent_by):
            said: Attributes = {names.DELAY_SECONDS: delay, names.REASON: spent_by}
            trace = tried.follower.trace_id if tried.follower else None
            yield Mark(names.RETRY_SCHEDULED, tried.ended, {**said, names.NEXT_TRACE: trace})
        case TaskFailure() as end if not isinstance(end, _NO_DEATH):
            yield Mark(names.DEAD_LETTERED, tried.ended)


def _begun(tried: Tried, root: Context) -> Span:
    """The publishing of the next attempt, which came long after this one and is the root of a trace of its own."""
    at = tried.outcome.timestamp if tried.outcome else tried.ended
    links = [Link(tried.context, names.LINK_PREVIOUS_ATTEMPT), *published(tried.run.above(tried.story))]
    return Span(
        name=names.span_name(names.PUBLISH, tried.said("queue") or "unknown"),
        kind=Kind.PRODUCER,
        context=root,
        parent=None,
        began=at,
        ended=at,
        attributes=_about(tried, names.PUBLISH, tried.number + 1),
        links=links,
    )

"""Spans of services' events on their way to us, one for each event: ``publish events``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from infra.cloudevents import CloudEvent
from infra.tracing import ids, names
from infra.tracing.ids import Context, Story
from infra.tracing.messaging import about_message
from infra.tracing.names import Kind
from infra.tracing.span import Span
from infra.tracing.tracer import Tracer, active_context, current, harmless

EXCHANGE: Final = "events"
UNTRACED: Final = frozenset({"session.heartbeat"})
"""There are thousands a second, and each is told of in none but the log."""


class Publication:
    """Events that are published together; entered while they are. No fault of tracing comes out of it.

    Attributes:
        events: the same events, each saying in which trace it is, where it is in any.
    """

    def __init__(self, events: Sequence[CloudEvent]) -> None:
        self._tracer = current()
        self._stories: list[tuple[CloudEvent, Story]] = []
        self._began = datetime.now(UTC)
        self._given: dict[int, CloudEvent] = {}
        self._lost: set[int] = set()
        self.events = events
        with harmless:
            self.events = self._traced(events)
        if self.events is not events:
            self._given = {id(told): event for told, event in zip(self.events, events, strict=True)}

    def lose(self, events: Sequence[CloudEvent]) -> list[CloudEvent]:
        """Note that some of :attr:`events` did not arrive; gives them as they were given, to be published again."""
        given = [self._given.get(id(event), event) for event in events]
        self._lost = {id(event) for event in given}
        return given

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracer is None:
            return
        with harmless:
            ended = datetime.now(UTC)
            for event, story in self._stories:
                if story.is_sampled:
                    is_lost = kind is not None and (not self._lost or id(event) in self._lost)
                    error_type = kind.__name__ if kind and is_lost else None
                    self._tracer.send(self._span(event, story, ended, error=error_type))

    def _traced(self, events: Sequence[CloudEvent]) -> Sequence[CloudEvent]:
        """The events, each saying where it is; themselves where that is nowhere."""
        tracer, active = self._tracer, active_context()
        if tracer is not None:
            self._stories = [(event, _story(event, active, tracer)) for event in events if event.type not in UNTRACED]
            told = {id(event): _told(event, story) for event, story in self._stories}
            return [told.get(id(event), event) for event in events]
        if active is not None:
            return [event if event.traceparent else _under(event, active) for event in events]
        return events

    def _span(self, event: CloudEvent, story: Story, ended: datetime, *, error: str | None) -> Span:
        said = about_message(
            names.PUBLISH,
            exchange=EXCHANGE,
            routing_key=event.type,
            message_id=str(event.unique_id),
            conversation_id=_correlation(event),
            body_size=len(event.data),
        )
        return Span(
            name=names.span_name(names.PUBLISH, EXCHANGE),
            kind=Kind.PRODUCER,
            context=story.at(ids.emitted(event.unique_id)),
            parent=story.above,
            began=self._began,
            ended=ended,
            attributes={**said, names.EVENT_NAME: event.type},
            error=error,
        )


def _correlation(event: CloudEvent) -> str:
    """As :class:`domain.cause.Cause` has it."""
    return event.correlationid or str(event.unique_id)


def _story(event: CloudEvent, active: Context | None, tracer: Tracer) -> Story:
    told = Context.read(event.traceparent) or active
    return Story.under(told, _correlation(event), ratio=tracer.ratio)


def _told(event: CloudEvent, story: Story) -> CloudEvent:
    return _under(event, story.at(ids.emitted(event.unique_id)))


def _under(event: CloudEvent, context: Context) -> CloudEvent:
    return replace(event, traceparent=context.traceparent)

"""A span that has begun here and is ended by another process: what it is told is kept, and handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.context import attach, detach
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, set_span_in_context

from infra.tracing.ids import Context
from infra.tracing.sdk import span_context
from infra.tracing.span import Value
from infra.tracing.tracer import harmless

MOST_ATTRIBUTES: Final = 32
LONGEST_TEXT: Final = 1000
"""Characters."""


class OpenSpan(NonRecordingSpan):
    """Keeps attributes; of events and status nothing. Entered, it is the current span.

    Which span it is, is worked out when somebody asks: within most tasks nobody does.

    Attributes:
        told: the attributes so far.

    Args:
        find: gives the span; a fault of its makes this one of no trace.
    """

    def __init__(self, find: Callable[[], Context]) -> None:
        self._find = find
        self._found: SpanContext | None = None
        self.told: dict[str, Value] = {}

    def __enter__(self) -> Mapping[str, Value]:  # type: ignore[override]  # of a span itself nothing would come of use
        self._token = attach(set_span_in_context(self))
        return self.told

    def __exit__(self, *_error: object) -> None:
        detach(self._token)

    def __repr__(self) -> str:
        return f"OpenSpan({self.get_span_context()!r})"

    def get_span_context(self) -> SpanContext:
        """Which span it is."""
        if self._found is None:
            self._found = INVALID_SPAN_CONTEXT
            with harmless:
                self._found = span_context(self._find())
        return self._found

    def is_recording(self) -> bool:
        """Whether it is worth telling it anything."""
        return self.get_span_context().trace_flags.sampled

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one; what is neither text, number nor truth, and what is too many, is left out."""
        has_room = key in self.told or len(self.told) < MOST_ATTRIBUTES
        if has_room and isinstance(value, (str, int, float)) and self.is_recording():
            self.told[str(key)] = value[:LONGEST_TEXT] if isinstance(value, str) else value

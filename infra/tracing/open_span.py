"""A span that has begun here and is ended by another process: what it is told is kept, and handed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry.trace import NonRecordingSpan, use_span

from infra.tracing.ids import Context
from infra.tracing.sdk import span_context
from infra.tracing.span import Value

MOST_ATTRIBUTES: Final = 32
LONGEST_TEXT: Final = 1000
"""Characters."""


class OpenSpan(NonRecordingSpan):
    """Keeps attributes; of events and status nothing.

    Attributes:
        told: the attributes so far.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(span_context(context))
        self._is_sampled = context.is_sampled
        self.told: dict[str, Value] = {}

    def is_recording(self) -> bool:
        """Whether it is worth telling it anything."""
        return self._is_sampled

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one; what is neither text, number nor truth, and what is too many, is left out."""
        has_room = key in self.told or len(self.told) < MOST_ATTRIBUTES
        if self._is_sampled and has_room and isinstance(value, (str, int, float)):
            self.told[str(key)] = value[:LONGEST_TEXT] if isinstance(value, str) else value


@contextmanager
def entered(span: OpenSpan) -> Iterator[Mapping[str, Value]]:
    """While it is the current span; gives what it is told."""
    with use_span(span, record_exception=False, set_status_on_exception=False):
        yield span.told

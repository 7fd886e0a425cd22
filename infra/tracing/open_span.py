"""A span that has begun here and is ended by another process: what it is told is kept, and handed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.context import attach, detach
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from infra.tracing.ids import Context
from infra.tracing.sdk import span_context
from infra.tracing.span import Value

MOST_ATTRIBUTES: Final = 32
LONGEST_TEXT: Final = 1000
"""Characters."""


class OpenSpan(NonRecordingSpan):
    """Keeps attributes; of events and status nothing. Entered, it is the current span.

    Attributes:
        told: the attributes so far.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(span_context(context))
        self._is_sampled = context.is_sampled
        self.told: dict[str, Value] = {}

    def __enter__(self) -> Mapping[str, Value]:  # type: ignore[override]  # of a span itself nothing would come of use
        self._token = attach(set_span_in_context(self))
        return self.told

    def __exit__(self, *_error: object) -> None:
        detach(self._token)

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

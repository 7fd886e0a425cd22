"""Tracing: the platform's own spans, as OpenTelemetry knows them; off unless an endpoint is set."""

from infra.tracing.ids import Context, Story
from infra.tracing.span import Link, Mark, Span
from infra.tracing.tracer import Tracer, active_context, current, harmless, start, stop, tracing

__all__ = [
    "Context",
    "Link",
    "Mark",
    "Span",
    "Story",
    "Tracer",
    "active_context",
    "current",
    "harmless",
    "start",
    "stop",
    "tracing",
]

"""Where people look at a trace: by its id and, where the settings say how, by its address."""

from __future__ import annotations

from infra.settings import Settings
from infra.tracing.ids import Story


def shown(trace_id: str, settings: Settings) -> str:
    """The id, and behind it the address where there is one."""
    return "  ".join(filter(None, (trace_id, address(trace_id, settings))))


def values(trace_id: str, settings: Settings) -> dict[str, str]:
    """The same for programs."""
    named = {"trace_id": trace_id, "trace_url": address(trace_id, settings)}
    return {name: value for name, value in named.items() if value is not None}


def address(trace_id: str, settings: Settings) -> str | None:
    """Where the trace can be seen (``LEDGERQ_TRACE_URL_TEMPLATE``); None where nobody said."""
    template = settings.trace_url_template
    return None if template is None else template.replace("{trace_id}", trace_id)


def trace_of(metadata: dict[str, object]) -> str | None:
    """The trace of an event, from what is stored beside it; None where that names no story."""
    if not metadata.get("traceparent") and not metadata.get("correlation_id"):
        return None
    return Story.of_metadata(metadata, ratio=1.0).trace_id

"""Showing events: a line each for people, the whole of one, JSON lines for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

from domain.aggregate import EVENT_CLASSES, event_class
from infra.event_store.envelope import EventUnreadableError
from infra.event_store.mapper import SCHEMA_VERSION, EventMapper
from infra.events.reading import Logged

VALUE_CHARACTERS: Final = 60
_SAID_ELSEWHERE: Final = frozenset({"traceback", "message"})
_CONTEXT: Final = ("correlation_id", "actor", "tenant", "traceparent", "source_event_id")


def json_line(logged: Logged) -> str:
    """One JSON object on one line."""
    return msgspec.json.encode(logged.as_values()).decode()


def line(logged: Logged) -> str:
    """When, where, what, of which stream, and what it says, on one line."""
    row = logged.row
    said = _said(msgspec.json.decode(row.data))
    head = f"{clock(row.occurred_at)}  {logged.log.value}:{row.position}"
    return f"{head:<44}  {click.style(row.name, bold=True)}  {row.stream_id} v{row.version}  {said}".rstrip()


def whole(logged: Logged, *, cause: Logged | None, trace: str | None = None) -> str:
    """Everything the log has of an event.

    Args:
        logged: the event.
        cause: the event that caused it, if the log has it.
        trace: in which trace it is, as people are told.
    """
    row = logged.row
    metadata = logged.metadata
    causation = metadata.get("causation_id")
    told: dict[str, Any] = {
        "log": f"{logged.log.value}, position {row.position}",
        "stream": f"{row.stream_id}, version {row.version}",
        "event": row.event_id,
        "occurred": clock(row.occurred_at),
        "recorded": clock(row.recorded_at),
        "caused by": f"{causation} ({cause.row.name}, {cause.log.value}:{cause.row.position})" if cause else causation,
        **{name.removesuffix("_id"): metadata.get(name) for name in _CONTEXT},
        "trace": trace,
    }
    width = max(map(len, told))
    lines = [f"  {name:<{width}}  {value}" for name, value in told.items() if value is not None]
    body = msgspec.json.format(row.data, indent=2)
    return "\n".join([click.style(row.name, bold=True), *lines, body, *_as_it_is_read(logged)])


def _as_it_is_read(logged: Logged) -> list[str]:
    """What an event of an earlier shape says in the present one; nothing where it has that or cannot be read."""
    row, metadata = logged.row, logged.metadata
    present = event_class(row.name).class_version if row.name in EVENT_CLASSES else 1
    stored = metadata.get(SCHEMA_VERSION, 1)
    if stored >= present:
        return []
    try:
        event = EventMapper().to_event(
            row.name,
            row.data,
            stream_id=row.stream_id,
            version=row.version,
            occurred_at=row.occurred_at,
            metadata=metadata,
        )
    except EventUnreadableError as error:
        return [f"  cannot be read: {error.reason}"]
    says = msgspec.json.format(msgspec.json.encode(event.data()), indent=2).decode()
    return [f"  stored in version {stored}; read in version {present} as", says]


def clock(moment: datetime) -> str:
    """In UTC, to the millisecond."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _said(data: Any) -> str:
    """What an event says; whoever wrote into the log by hand may have written no object, and that is shown as it is."""
    if not isinstance(data, dict):
        return _value(data)
    return "  ".join(
        f"{name}={_value(value)}"
        for name, value in data.items()
        if name not in _SAID_ELSEWHERE and value not in (None, "", [], {})
    )


def _value(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(str(each) for each in value[:2])
        value = f"[{shown}{f', … {len(value)} in all' if len(value) > 2 else ''}]"  # noqa: PLR2004  as many as shown
    text = f"{value:.3f}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= VALUE_CHARACTERS else f"{text[: VALUE_CHARACTERS - 1]}…"

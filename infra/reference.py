"""Reference pages that are written from the code, so that they cannot go stale (a test compares them)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin

import click
import msgspec

import domain
from domain.aggregate import ENVELOPE_FIELDS, EVENT_CLASSES, Event
from infra.metrics.dashboards import DASHBOARDS
from infra.metrics.reference import metrics_page

_HEAD = """# Events

Every fact the log can hold, by its stored name. Stored names are chosen and stable; no path of code reaches the
database. Written by `ledgerq reference events`; a test compares.

Each row of a log has these columns beside the event's own data (`data`, jsonb):

| column | meaning |
|---|---|
| `position` | place in the log, gap-safe: a reader that has seen a position has seen everything before it |
| `stream_id`, `version` | the thing it happened to, and its place there; a task run's versions are slots |
| `name` | what happened |
| `event_id` | derived from the cause, so that the same thing told twice is the same event |
| `occurred_at`, `recorded_at` | when it happened, by its teller; when it was stored, by the database. UTC |
| `metadata` | `causation_id`, `correlation_id`, `actor`, `traceparent`, `tenant`, `source_event_id`, where known |
"""


_MODULE = re.compile(r"\bdomain\.(?:[a-z_]+\.)+(?=[A-Z])")
"""The path of a module of the domain before the name of a class."""


def events_page() -> str:
    """The page of events, Markdown."""
    contexts: dict[str, list[type[Event]]] = {}
    for name in sorted(EVENT_CLASSES):
        if EVENT_CLASSES[name].__module__.partition(".")[0] != domain.__name__:
            continue  # a test's own
        contexts.setdefault(name.partition(".")[0], []).append(EVENT_CLASSES[name])
    parts = [_HEAD.rstrip()]
    for context, events in contexts.items():
        parts.append(f"\n## {context}\n")
        parts += [_event(event) for event in events]
    parts.append("\n## Values\n\nWhat some fields hold.\n")
    parts += [_value(value) for value in _values([event for events in contexts.values() for event in events])]
    return "\n".join(parts)


def openapi_page() -> str:
    """The OpenAPI document of the HTTP interface, JSON."""
    from infra.web.openapi import document  # noqa: PLC0415  it loads everything that can be asked for
    from infra.web.operation import Declared  # noqa: PLC0415  likewise
    from infra.web.process import beside, operations  # noqa: PLC0415  likewise

    declared: list[Declared] = [*operations(), *(each.described for each in beside())]
    return json.dumps(document(declared), indent=2) + "\n"


def _event(event: type[Event]) -> str:
    return "\n\n".join([f"### `{event.TOPIC}`", _summary(event), _says(event), *_versions(event)]) + "\n"


def _value(value: type[Any]) -> str:
    choices = ", ".join(f"`{choice.value}`" for choice in value) if issubclass(value, StrEnum) else ""
    return (
        "\n\n".join([f"### {value.__name__}", _summary(value), f"One of: {choices}." if choices else _says(value)])
        + "\n"
    )


def _summary(described: type[Any]) -> str:
    return " ".join((described.__doc__ or "").split("\n\n")[0].split())


def _says(shape: type[msgspec.Struct]) -> str:
    said = ", ".join(f"`{field.name}` {_type(field.type)}" for field in _fields(shape)) or "nothing more"
    return f"Says: {said}."


def _fields(shape: type[msgspec.Struct]) -> list[msgspec.structs.FieldInfo]:
    return [field for field in msgspec.structs.fields(shape) if field.name not in ENVELOPE_FIELDS]


def _values(shapes: Iterable[type[msgspec.Struct]]) -> list[type[Any]]:
    """The structs and choices that fields hold, theirs included, in order of name."""
    found: dict[str, type[Any]] = {}
    left = list(shapes)
    while left:
        for part in (part for field in _fields(left.pop()) for part in _parts(field.type)):
            if part.__name__ not in found and issubclass(part, msgspec.Struct | StrEnum):
                found[part.__name__] = part
                left += [part] if issubclass(part, msgspec.Struct) else []
    return [found[name] for name in sorted(found)]


def _parts(found: Any) -> list[type[Any]]:
    """The classes that a type is made of."""
    if isinstance(found, type) and not get_args(found):
        return [found]
    return [part for argument in get_args(found) for part in _parts(argument)]


def _versions(event: type[Event]) -> list[str]:
    """How older shapes of an event are read; none where it has had one shape only."""
    if event.class_version == 1:
        return []
    changes = (getattr(event, f"upcast_v{old}_v{old + 1}").__doc__ for old in range(1, event.class_version))
    read_as = " ".join(" ".join((change or "").split()) for change in changes)
    return [f"In version {event.class_version} (`metadata.schema_version`). {read_as} What is stored stays as it is."]


def _type(found: Any) -> str:
    if get_origin(found) is Annotated:
        found = get_args(found)[0]
    names = [getattr(part, "__name__", str(part)) for part in get_args(found) or (found,)]
    if getattr(found, "__origin__", None) is not None:
        return _MODULE.sub("", str(found))
    return " or ".join("null" if name == "NoneType" else name for name in names)


@click.group()
def reference() -> None:
    """Write reference pages from the code."""


@reference.command()
def events() -> None:
    """The page of events (docs/events.md)."""
    click.echo(events_page(), nl=False)


@reference.command()
def metrics() -> None:
    """The page of metrics (docs/reference/metrics.md)."""
    click.echo(metrics_page(), nl=False)


@reference.command()
def openapi() -> None:
    """The HTTP interface's document (docs/reference/openapi.json)."""
    click.echo(openapi_page(), nl=False)


@reference.command()
@click.argument("name", type=click.Choice(list(DASHBOARDS)))
def dashboard(name: str) -> None:
    """A dashboard for Grafana (infra/deploy/grafana/NAME.json)."""
    click.echo(json.dumps(DASHBOARDS[name].model(), indent=2))

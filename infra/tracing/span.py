"""Spans as plain values: what is put together on hot paths, and becomes OpenTelemetry's elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from infra.tracing.ids import Context
from infra.tracing.names import LINK, Kind

Value = str | int | float | bool
Attributes = Mapping[str, Value | None]
"""Those that are None are left out."""
NOTHING: Final[Mapping[str, Value]] = MappingProxyType({})


class Link(NamedTuple):
    """That a span has to do with another one; ``what`` says how."""

    to: Context
    what: str
    attributes: Attributes = NOTHING

    @property
    def said(self) -> Attributes:
        """Its attributes, what it points at among them."""
        return {LINK: self.what, **self.attributes}


class Mark(NamedTuple):
    """Something that happened within a span: OpenTelemetry's span event."""

    name: str
    at: datetime
    attributes: Attributes = NOTHING


class Span(NamedTuple):
    """A span that has ended.

    Attributes:
        name: ``{operation} {destination}``.
        kind: what it is about.
        context: its own.
        parent: id of the span above it, of the same trace; None: it is a root.
        began: UTC.
        ended: UTC.
        error: a short stable name of what went wrong; None: nothing did.
        error_text: the same in words.
    """

    name: str
    kind: Kind
    context: Context
    parent: str | None
    began: datetime
    ended: datetime
    attributes: Attributes = NOTHING
    links: Sequence[Link] = ()
    marks: Sequence[Mark] = ()
    error: str | None = None
    error_text: str | None = None

"""Traces as trees for terminals: what hangs under what, when, how long, and what it came to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from infra.tracing import Context, Span, names
from infra.tracing.span import Attributes, Value
from projections.traces.attempts import IS_OPEN
from projections.traces.spans import Told

NARROWEST: Final = 40
"""Columns below which lines are not cut any further."""
_TIMES: Final = 21
"""Columns that the times in front of a line take; narrow terminals see the tree alone."""
_ROOM_FOR_TIMES: Final = 70
_DETAILS: Final = (names.EVENT_NAME, names.TASK, names.ATTEMPT, names.REASON)


class Branch(NamedTuple):
    """A span in its place: how deep, and the lines that lead to it."""

    told: Told
    lead: str


def trees(told: Sequence[Told]) -> dict[str, list[Branch]]:
    """The spans by trace, the earliest trace first; in each a span under its parent, siblings in order of time."""
    by_trace: dict[str, list[Told]] = {}
    for each in told:
        by_trace.setdefault(each.span.context.trace_id, []).append(each)
    return {trace_id: list(_branches(spans)) for trace_id, spans in by_trace.items()}


def _branches(spans: Sequence[Told]) -> Iterator[Branch]:
    known = {each.span.context.span_id for each in spans}
    children: dict[str | None, list[Told]] = {}
    for each in sorted(spans, key=lambda told: told.span.began):
        children.setdefault(each.span.parent if each.span.parent in known else None, []).append(each)
    for root in children.get(None, []):
        yield Branch(root, "")
        yield from _below(root, children, "")


def _below(above: Told, children: dict[str | None, list[Told]], lead: str) -> Iterator[Branch]:
    siblings = children.get(above.span.context.span_id, [])
    for number, each in enumerate(siblings, start=1):
        is_last = number == len(siblings)
        yield Branch(each, f"{lead}{'└ ' if is_last else '├ '}")
        yield from _below(each, children, f"{lead}{'  ' if is_last else '│ '}")


def lines(branches: Sequence[Branch], *, width: int) -> Iterator[str]:
    """A trace, a line for a span and one for each of its links and events that the tree does not show."""
    began = min(branch.told.span.began for branch in branches)
    known = {branch.told.span.context.span_id for branch in branches}
    for branch in branches:
        span = branch.told.span
        times = f"{_offset(span.began - began):>10} {_length(span):>9}  "
        below = branch.lead.replace("├ ", "│ ").replace("└ ", "  ")
        yield _cut(times, f"{branch.lead}{_said(span)}", width)
        for note in _notes(span, known, began):
            yield _cut(" " * _TIMES, f"{below}  {note}", width)


def _cut(times: str, text: str, width: int) -> str:
    width = max(width, NARROWEST)
    line = f"{times}{text}" if width >= _ROOM_FOR_TIMES else text
    return line.rstrip() if len(line) <= width else f"{line[: width - 1]}…"


def _said(span: Span) -> str:
    error = f"!{span.error}" if span.error else None
    is_open = "(open)" if span.attributes.get(IS_OPEN) else None
    outcome = span.attributes.get(names.OUTCOME)
    details = [_detail(name, span.attributes[name]) for name in _DETAILS if span.attributes.get(name) is not None]
    return " ".join(str(each) for each in (span.name, *details, outcome, error, is_open) if each)


def _detail(name: str, value: Any) -> str:
    return f"#{value}" if name == names.ATTEMPT else str(value)


def _notes(span: Span, known: set[str], began: datetime) -> Iterator[str]:
    if span.parent is not None and span.parent not in known:
        yield f"↑ under span {span.parent}, which the log does not have"
    for mark in span.marks:
        said = " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in _told(mark.attributes).items())
        yield f"· {_offset(mark.at - began)} {mark.name} {said}".rstrip()
    for link in span.links:
        if link.to.span_id != span.parent:
            yield f"→ {link.what}: {_where(link.to, span.context)}"


def _told(attributes: Attributes) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _where(to: Context, own: Context) -> str:
    return f"span {to.span_id}" if to.trace_id == own.trace_id else f"trace {to.trace_id} span {to.span_id}"


def _offset(after: timedelta) -> str:
    return f"{after.total_seconds():+.3f} s"


def _length(span: Span) -> str:
    seconds = (span.ended - span.began).total_seconds()
    return f"{seconds:.3f} s" if seconds else "·"


def values(told: Told) -> dict[str, Any]:
    """A span for programs."""
    span = told.span
    return {
        "service": f"ledgerq-{told.service}",
        "name": span.name,
        "kind": span.kind.name.lower(),
        "trace_id": span.context.trace_id,
        "span_id": span.context.span_id,
        "parent_id": span.parent,
        "began": span.began,
        "ended": span.ended,
        "attributes": _told(span.attributes),
        "links": [
            {"trace_id": link.to.trace_id, "span_id": link.to.span_id, "attributes": _told(link.said)}
            for link in span.links
        ],
        "events": [{"name": mark.name, "at": mark.at, "attributes": _told(mark.attributes)} for mark in span.marks],
        "error": span.error,
    }

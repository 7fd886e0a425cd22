"""Ids of traces and spans: each follows from what the span is about.

So any process can name a parent or the target of a link without having been told of it, a step that is taken twice is
the same span, and what is written from the log later (`ledgerq trace export`) is what was sent then. MD5 because SQL
has it too: a trace id is ``md5(correlation_id)``, a span id the first half of ``md5('append/' || event_id)`` and the
like. The hexadecimal digits of a UUID would not do for a trace id: the bits of its variant are the ones that samplers
compare.

Source: W3C Trace Context, section 3.2 (``traceparent``).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 0x01
_BEYOND: Final = 1 << 64
"""So many low bits of a trace id decide whether it is sampled (OpenTelemetry's ``TraceIdRatioBased``)."""


class Context(NamedTuple):
    """A span as others refer to it.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        is_sampled: whether its trace is sent.
    """

    trace_id: str
    span_id: str
    is_sampled: bool

    @classmethod
    def read(cls, traceparent: object) -> Self | None:
        """The span that a ``traceparent`` names; None where it is none, or names nothing."""
        found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
        if found is None or found[0].startswith("ff") or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
            return None
        return cls(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))

    @property
    def traceparent(self) -> str:
        """As it travels in headers."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    def at(self, span_id: str) -> Context:
        """Another span of the same trace."""
        return Context(self.trace_id, span_id, self.is_sampled)


class Story(NamedTuple):
    """The trace that an event or a message belongs to.

    Attributes:
        trace_id: 32 hexadecimal digits.
        is_sampled: whether it is sent.
        told: the span that told it; None where nobody traced it before us.
    """

    trace_id: str
    is_sampled: bool
    told: Context | None = None

    @classmethod
    def of(cls, traceparent: object, correlation_id: str, *, ratio: float) -> Story:
        """The trace of what carries a ``traceparent``, or no usable one, and a correlation id.

        Whoever began a trace decided whether it is sampled; where nobody did, the trace id decides, alike everywhere.
        """
        return cls.under(Context.read(traceparent), correlation_id, ratio=ratio)

    @classmethod
    def under(cls, told: Context | None, correlation_id: str, *, ratio: float) -> Story:
        """Likewise, of what a span that is known, or none, tells."""
        if told is not None:
            return cls(told.trace_id, told.is_sampled, told)
        derived = trace_id(correlation_id)
        return cls(derived, is_sampled(derived, ratio))

    @classmethod
    def of_metadata(cls, metadata: dict[str, Any], *, ratio: float) -> Story:
        """The trace of an event, from what is stored beside it."""
        return cls.of(metadata.get("traceparent"), str(metadata.get("correlation_id", "")), ratio=ratio)

    def at(self, span_id: str) -> Context:
        """A span of this trace."""
        return Context(self.trace_id, span_id, self.is_sampled)

    @property
    def above(self) -> str | None:
        """Id of the span that told it; None where nobody did."""
        return self.told.span_id if self.told else None


def trace_id(name: str) -> str:
    """The trace of what nobody has traced before us: of the story (correlation id) ``name``."""
    return hashlib.md5(name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def is_sampled(trace: str, ratio: float) -> bool:
    """Whether a trace is among the share ``ratio`` (0 to 1) of all; as ``TraceIdRatioBased`` decides."""
    return int(trace[-16:], 16) < round(ratio * _BEYOND)


def emitted(message: UUID | str) -> str:
    """The span of a message to us being published, by the id it has in the whole system."""
    return _span(f"emit/{message}")


def ingested(trace: str, source_event_id: str) -> str:
    """The span of a message being taken in, by its trace and the id that its sender gave it."""
    return _span(f"ingest/{trace}/{source_event_id}")


def appended(event: UUID | str) -> str:
    """The span of an event being stored."""
    return _span(f"append/{event}")


def dispatched(run_id: str) -> str:
    """The span of a run's first message being published: by dispatch, or by the client who sent it."""
    return _span(f"dispatch/{run_id}")


def attempted(run_id: str, attempt: int) -> str:
    """The span of an attempt, from 1."""
    return _span(f"attempt/{run_id}/{attempt}")


def buried(run_id: str) -> str:
    """The span of a run's dead letter being recorded."""
    return _span(f"dead/{run_id}")


def retried(run_id: str, attempt: int, *, is_sampled: bool) -> Context:
    """The root span of the trace that an ``attempt`` begins which comes long after the one before it."""
    name = f"retry/{run_id}/{attempt}"
    return Context(trace_id(name), _span(f"root/{name}"), is_sampled)


def replayed(new_run_id: str, *, is_sampled: bool) -> Context:
    """The root span of the trace of a run that is a replay."""
    name = f"replay/{new_run_id}"
    return Context(trace_id(name), _span(f"root/{name}"), is_sampled)


def _span(name: str) -> str:
    return trace_id(name)[:16]

"""The process's tracer: there is one where an endpoint is set, and otherwise none."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Final

import structlog

from infra.settings import Settings
from infra.tracing.ids import Context, Story
from infra.tracing.outbox import Outbox
from infra.tracing.span import Span

CLOSE_WITHIN: Final = timedelta(seconds=3)
"""How long a process that ends waits for its last spans to be taken."""


_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.tracing")


class Tracer:
    """Sends the spans of this process.

    Attributes:
        ratio: the share of stories that are sampled, of those that nobody has traced before us.
    """

    def __init__(self, outbox: Outbox, *, ratio: float) -> None:
        self._outbox = outbox
        self.ratio = ratio

    def story(self, metadata: dict[str, Any]) -> Story:
        """The trace of an event, from what is stored beside it."""
        return Story.of_metadata(metadata, ratio=self.ratio)

    def send(self, span: Span) -> None:
        """Send a span, if its trace is sampled; returns at once."""
        if span.context.is_sampled:
            self._outbox.put(span)

    def provide(self, settings: Settings, *, service: str) -> None:
        """Let spans of the code that runs in this process go the same way, unless it has a provider of its own.

        OpenTelemetry lets a process set its provider once: this is for processes that are ours, where others' code is
        executed, and for none that merely emits or sends tasks.
        """
        from infra.tracing import sdk  # noqa: PLC0415  not where tracing is off

        sdk.provide(settings, service=service, put=self._outbox.put)

    def close(self) -> None:
        """Send what waits."""
        self._outbox.close(within=CLOSE_WITHIN)


_current: Tracer | None = None


def current() -> Tracer | None:
    """This process's tracer; None where tracing is off."""
    return _current


def start(settings: Settings, *, service: str) -> Tracer | None:
    """Begin to send our own spans, where the settings say where to; the tracer there is already stays.

    Args:
        settings: ``tracing_…``.
        service: who sends, as it is seen in the traces.
    """
    global _current  # noqa: PLW0603  one per process is the point
    if _current is None and settings.tracing_endpoint is not None:
        from infra.tracing import sdk  # noqa: PLC0415  not where tracing is off

        where = str(settings.redacted()["tracing_endpoint"])
        outbox = Outbox(sdk.sender(settings, service=service), where=where)
        _current = Tracer(outbox, ratio=settings.tracing_sampled)
        atexit.register(stop)
    return _current


def stop() -> None:
    """Send what waits, and send nothing any more."""
    global _current
    tracer, _current = _current, None
    if tracer is not None:
        atexit.unregister(stop)
        tracer.close()


@contextmanager
def tracing(settings: Settings, *, service: str) -> Iterator[Tracer | None]:
    """:func:`start`, and :func:`stop` at the end."""
    tracer = start(settings, service=service)
    try:
        yield tracer
    finally:
        stop()


def active_context() -> Context | None:
    """The span that the code of this process is in, by OpenTelemetry's own context; None where there is none."""
    api = sys.modules.get("opentelemetry.trace")  # nobody has begun a span where nobody has imported it
    if api is None:
        return None
    found = api.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return Context(f"{found.trace_id:032x}", f"{found.span_id:016x}", bool(found.trace_flags & 1))


class _Harmless:
    """What :data:`harmless` is; a class, for it is entered once or twice for every task."""

    def __init__(self) -> None:
        self._has_failed = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        if not self._has_failed:
            self._has_failed = True
            _log.error("spans could not be put together; more such faults are not told", exc_info=error)
        return True


harmless: Final = _Harmless()
"""Around putting spans together: a fault of ours in that is told once, and never stops what they are about."""


def _forget() -> None:
    """In a forked child: its parent's thread and connection are not its own."""
    global _current  # noqa: PLW0603
    _current = None


os.register_at_fork(after_in_child=_forget)

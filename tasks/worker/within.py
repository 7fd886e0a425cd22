"""In whatever executes tasks (a pool's child, a thread, the worker itself): the attempt's span is the current one.

So the spans that a task's own code begins, and those of instrumented libraries, hang under the attempt, and what it
sends to others says where it comes from.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Final

import structlog
from celery import signals

from infra.settings import Settings
from infra.tracing import Context, Story, current, harmless, ids, start, stop
from infra.tracing.span import NOTHING, Value

SERVICE: Final = "worker"
_INSTRUMENTORS: Final = "opentelemetry_instrumentor"
"""Entry points by which instrumentations are found."""
_NOTHING: Final = nullcontext(NOTHING)

_log = structlog.get_logger("ledgerq.worker")


def begin_tracing(settings: Settings) -> None:
    """Send what the code of tasks traces, where the settings say where to."""
    tracer = start(settings, service=SERVICE)
    if tracer is not None:
        with harmless:
            tracer.provide(settings, service=SERVICE)
        signals.worker_process_shutdown.connect(_stop, weak=False)  # a child ends without Python's own farewell
        gc.freeze()  # all that was imported for it stays; the collector need not look at it for every few hundred tasks
        _instrument([name.strip() for name in settings.tracing_instrument.split(",") if name.strip()])


def within(request: Mapping[str, Any]) -> AbstractContextManager[Mapping[str, Value]]:
    """Around the execution of the attempt that ``request`` (Celery's, of headers) is of.

    Gives the attributes that the task's code sets on the span, as they come.
    """
    tracer = current()
    return _NOTHING if tracer is None else _current_span(partial(_attempt, request, tracer.ratio))


def _attempt(request: Mapping[str, Any], ratio: float) -> Context:
    """The attempt's span."""
    run_id = str(request.get("id"))
    correlation_id = request.get("ledgerq-correlation-id") or request.get("root_id") or run_id
    story = Story.of(request.get("traceparent"), str(correlation_id), ratio=ratio)
    return story.at(ids.attempted(run_id, _number(request)))


def _number(request: Mapping[str, Any]) -> int:
    """As :attr:`tasks.worker.envelope.Envelope.attempt`."""
    told = request.get("ledgerq-attempt")
    counted = (request.get("retries") or 0) + (request.get("replaced_task_nesting") or 0)
    return int(told) if told else 1 + int(counted)


def _current_span(find: Callable[[], Context]) -> AbstractContextManager[Mapping[str, Value]]:
    """The attempt's span is the current one; gives what it is told, as far as its trace is sampled."""
    from infra.tracing.open_span import OpenSpan  # noqa: PLC0415  not where tracing is off

    return OpenSpan(find)


def _stop(**_signal: Any) -> None:
    stop()


def _instrument(names: list[str]) -> None:
    found = {each.name: each for each in entry_points(group=_INSTRUMENTORS)}
    for name in names:
        try:
            found[name].load()().instrument()
        except Exception as error:  # noqa: BLE001  foreign code; tasks are run without it
            _log.warning("tasks are not instrumented", instrumentation=name, error=str(error), installed=sorted(found))

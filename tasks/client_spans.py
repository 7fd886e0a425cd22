"""Spans of tasks that are sent with Celery's ``apply_async``, by clients and by tasks: ``publish tasks.<tier>``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from uuid import uuid4

from infra.broker.topology import TASKS
from infra.settings import load_settings
from infra.tracing import Context, Span, Story, active_context, current, harmless, ids, names, start
from infra.tracing.messaging import about_message
from infra.tracing.names import Kind

SERVICE: Final = "client"


@contextmanager
def sending(
    task: str, queue: str, options: dict[str, Any], *, correlation_id: str | None, within: str | None = None
) -> Iterator[None]:
    """Around the sending of a task: its message says in which trace it is, if it is in any.

    No fault of tracing comes out of it.

    Args:
        task: the name.
        queue: where it goes.
        options: Celery's; the run's id and a header are added.
        correlation_id: of the story, as its worker will find it; None: the run's id.
        within: the ``traceparent`` of the running task's message; passed on where tracing is off.
    """
    span: Span | None = None
    with harmless:
        _begin(os.getpid())
        span = _publishing(task, queue, options, correlation_id=correlation_id, within=within)
    error_type: str | None = None
    try:
        yield
    except Exception as error:
        error_type = type(error).__name__
        raise
    finally:
        tracer = current()
        if tracer is not None and span is not None:
            with harmless:
                tracer.send(span._replace(error=error_type, ended=datetime.now(UTC)))


def _publishing(
    task: str, queue: str, options: dict[str, Any], *, correlation_id: str | None, within: str | None
) -> Span | None:
    """The span as it begins, told to ``options``; None where tracing is off: then it is the caller's that is told."""
    tracer, headers = current(), options.get("headers") or {}
    above = Context.read(headers.get("traceparent")) or active_context()
    if tracer is None:
        above = above or Context.read(within)
        if above is not None:
            options["headers"] = {**headers, "traceparent": above.traceparent}
        return None
    run_id = str(options.get("task_id") or uuid4())
    story = Story.under(above, correlation_id or run_id, ratio=tracer.ratio)
    context = story.at(ids.dispatched(run_id))
    span = Span(
        name=names.span_name(names.PUBLISH, queue),
        kind=Kind.PRODUCER,
        context=context,
        parent=story.above,
        began=datetime.now(UTC),
        ended=datetime.now(UTC),
        attributes={
            **about_message(
                names.PUBLISH,
                exchange=TASKS,
                routing_key=queue,
                message_id=run_id,
                conversation_id=correlation_id or run_id,
            ),
            names.RUN_ID: run_id,
            names.TASK: task,
            names.PRIORITY: options.get("priority"),
        },
    )
    options["task_id"] = run_id
    options["headers"] = {**headers, "traceparent": context.traceparent}
    return span


@lru_cache(maxsize=1)
def _begin(pid: int) -> None:
    """Once in a process: a client's first task begins to trace, if that is set."""
    del pid
    start(load_settings(), service=SERVICE)

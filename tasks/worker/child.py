"""In the pool's children: what a task did becomes an outcome (`tasks.worker.outcome`) before it leaves the child."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final

import msgspec
from billiard.common import terminate_handler_fired
from celery import current_app, states
from celery.app.trace import TraceInfo, trace_ok_t
from celery.exceptions import Reject, Retry

from infra.logs import about
from infra.logs.printed import end_printed_lines, log_what_is_printed
from infra.settings import load_settings
from tasks.worker.ending import Ending, ending
from tasks.worker.executing import fields_of
from tasks.worker.outcome import (
    DEADLY,
    Annotated,
    Died,
    Failure,
    HandedOver,
    Outcome,
    Raised,
    Refused,
    RetryAsked,
    Returned,
    Snoozed,
    Waiting,
    cut,
)
from tasks.worker.resend import RetryDesk
from tasks.worker.snooze import Snooze
from tasks.worker.waiting import Wait
from tasks.worker.within import begin_tracing, within

_REPLACED: Final = "Replaced by new task"
"""What Celery's ``Task.replace`` says when it raises ``Ignore``."""

Trace = Callable[..., Any]


def install(**_signal: Any) -> None:
    """Equip every task of this process; called once in each child, after Celery has built their tracers."""
    log_what_is_printed()
    settings = load_settings()
    begin_tracing(settings)
    for task in current_app.tasks.values():
        desk = RetryDesk(task)
        task.signature_from_request = desk.signature_from_request
        limit = settings.result_payload_limit_bytes
        task.__trace__ = traced(task, task.__trace__, desk, payload_limit_bytes=limit)


def traced(task: Any, trace: Trace, desk: RetryDesk, *, payload_limit_bytes: int = 0) -> Trace:
    """Celery's tracer of ``task``, reporting an outcome instead of what it would report.

    Args:
        task: the task.
        trace: Celery's tracer of it.
        desk: stands in for the signature that ``self.retry()`` publishes.
        payload_limit_bytes: up to which a value that is too long for the log is reported whole beside its beginning.
    """

    def run(run_id: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        began = time.monotonic()
        desk.clear()
        told: Mapping[str, Any] = {}
        end = Ending(task, desk, run_id, request or {})
        about_it = about(cache(partial(fields_of, task.name, run_id, request)))
        try:
            with within(request or {}) as told, about_it, ending(end):
                try:
                    value, info, _runtime, _text = trace(run_id, args, kwargs, request)
                finally:
                    end_printed_lines()
            outcome = _outcome(end, value, info, payload_limit_bytes=payload_limit_bytes)
        except BaseException as error:
            if terminate_handler_fired():
                raise  # the pool is stopping this process; there is no outcome
            outcome = _raised(error)
        reported = Annotated(outcome, dict(told)) if told else outcome
        return trace_ok_t(None, None, time.monotonic() - began, reported)

    return run


def _outcome(end: Ending, value: Any, info: TraceInfo | None, *, payload_limit_bytes: int) -> Outcome:
    desk = end.desk
    if info is not None and isinstance(info.retval, (Snooze, Wait)):
        return _put_off(info.retval)
    if info is not None and info.state == states.RETRY:
        return _retry(info.retval, desk)
    if desk.committed is not None:  # `self.retry(throw=False)`: the run goes on, whatever this attempt did after
        return RetryAsked(Failure("Retry", "asked for without raising"), desk.delay_seconds, desk.committed)
    if info is None:
        return Returned.of(as_json(value), payload_limit_bytes=payload_limit_bytes)
    if info.state == states.IGNORED:
        return HandedOver() if _REPLACED in str(info.retval) else Returned(None)
    return _raised(info.retval, _traceback(value), final=end.is_final(info.retval), is_told=end.is_told)


def _put_off(raised: Snooze | Wait) -> Outcome:
    if isinstance(raised, Wait):
        return Waiting(raised.terms)
    return Snoozed(Failure("Snooze", cut(str(raised.message))), raised.delay_seconds)


def _raised(
    error: BaseException, traceback: str | None = None, *, final: bool = False, is_told: bool = False
) -> Outcome:
    """Of an exception, whether Celery's tracer caught it or it came through."""
    if isinstance(error, Reject):
        return _refused(error)
    if isinstance(error, DEADLY):
        return Died(Failure.of(error, traceback))
    return Raised(Failure.of(error, traceback), final=final, is_told=is_told)


def _retry(retry: Retry, desk: RetryDesk) -> Outcome:
    reason = Failure.of(retry.exc) if retry.exc is not None else Failure("Retry", cut(str(retry)))
    if desk.committed is not None:
        return RetryAsked(reason, desk.delay_seconds, desk.committed)
    return RetryAsked(reason, seconds_until(retry.when))  # `raise Retry(...)` by hand


def _refused(reject: Reject) -> Outcome:
    reason = reject.reason
    failure = Failure.of(reason) if isinstance(reason, BaseException) else Failure("Reject", cut(str(reason)))
    return Refused(failure, requeue=bool(reject.requeue))


def _traceback(einfo: Any) -> str | None:
    traceback = getattr(einfo, "traceback", None)
    return None if traceback is None else str(traceback)


def seconds_until(when: float | datetime | None) -> float | None:
    """A delay as Celery states it: seconds, a moment, or nothing."""
    if not isinstance(when, datetime):
        return None if when is None else float(when)
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()


def as_json(value: Any) -> str | None:
    """``value`` as JSON text; what JSON has no form for is written as its ``repr``. None for None."""
    if value is None:
        return None
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except (TypeError, ValueError, RecursionError):
        return cut(msgspec.json.encode(cut(repr(value))).decode())

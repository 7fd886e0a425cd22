"""What Celery is told of a run: its state by Celery's names, and its value or its error."""

from __future__ import annotations

import builtins
from typing import Any, Final

import billiard.exceptions
import celery.exceptions
import msgspec
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import states
from celery.exceptions import TaskRevokedError

from domain.run import RunState
from infra.event_store.payloads import unpacked
from tasks.results.outcomes import FoundRun
from tasks.worker.outcome import TEXT_LIMIT

UNKNOWN: Final = "UNKNOWN"
"""Of an id of which nothing is recorded; Celery would say PENDING."""

_STATES: Final = {
    RunState.REQUESTED: states.PENDING,
    RunState.PUBLISHED: states.PENDING,
    RunState.HELD: states.PENDING,
    RunState.RUNNING: states.STARTED,
    RunState.RETRYING: states.RETRY,
    RunState.WAITING: states.RETRY,
    RunState.SUCCEEDED: states.SUCCESS,
    RunState.REVOKED: states.REVOKED,
    RunState.EXPIRED: states.REVOKED,
}
"""All others are failures."""
_ERRORS: Final[dict[RunState, type[Exception]]] = {
    RunState.TIMED_OUT: TimeLimitExceeded,
    RunState.LOST: WorkerLostError,
    RunState.REVOKED: TaskRevokedError,
    RunState.EXPIRED: TaskRevokedError,
}


class ResultNotKept(LookupError):  # noqa: N818  the fact of it, as Celery's own names have it
    """The task succeeded, and its value is not, or no longer, to be had: it was too long for the log."""


class ResultError(Exception):
    """An error whose class is none of Python's or Celery's own; ``type(error).__name__`` is the name of its class."""


class NotKept(dict[str, Any]):
    """Celery's dictionary about a run that succeeded, whose value is not to be had; ``result`` says why.

    It counts as false: what does not, ``AsyncResult`` remembers, and hands out by `get` what is its ``result``.
    """

    def __bool__(self) -> bool:
        """No."""
        return False


def unknown(run_id: str) -> dict[str, Any]:
    """Of a run of which nothing is recorded."""
    return {"task_id": run_id, "status": UNKNOWN, "result": None, "traceback": None, "children": [], "date_done": None}


def meta_of(found: FoundRun) -> dict[str, Any]:
    """Celery's dictionary about a run; its ``result`` is the value, or the exception. See also :class:`NotKept`."""
    state = RunState(found.state)
    status = _STATES.get(state, states.FAILURE)
    result = _value(found) if status == states.SUCCESS else _error(found, state)
    meta = {
        "task_id": found.run_id,
        "status": status,
        "result": result,
        "traceback": found.traceback,
        "children": [],
        "date_done": found.ended_at,
        "name": found.task,
        "worker": found.worker,
        "queue": found.queue,
        "retries": max(0, found.attempt_count - 1),
    }
    return NotKept(meta) if isinstance(result, ResultNotKept) else meta


def _value(found: FoundRun) -> Any:
    """The value; an exception in its place where it is not to be had."""
    if found.payload is not None and found.payload_encoding is not None:
        return msgspec.json.decode(unpacked(found.payload_encoding, found.payload))
    if found.result is None:
        return None
    if len(found.result) > TEXT_LIMIT:
        return ResultNotKept(
            f"run {found.run_id} succeeded; its value is longer than {TEXT_LIMIT} characters and is kept for "
            "LEDGERQ_RESULT_RETENTION_SECONDS, up to LEDGERQ_RESULT_PAYLOAD_LIMIT_BYTES; "
            f"it begins: {found.result[:80]}"
        )
    return msgspec.json.decode(found.result)


def _error(found: FoundRun, state: RunState) -> Exception | None:
    if found.error_type is None:
        return None
    return error_of(found.error_type, found.error, cls=_ERRORS.get(state))


def error_of(error_type: str, text: str | None, *, cls: type[Exception] | None = None) -> Exception:
    """An error as it can be made of what is recorded of it.

    Args:
        error_type: the name of its class.
        text: what it said.
        cls: its class where that does not follow from the name.
    """
    try:
        return (cls or _class(error_type))(text)
    except TypeError:  # it wants other arguments than a text
        return _made(error_type)(text)


def _class(name: str) -> type[Exception]:
    """The class of that name, where it is Python's or Celery's own; no module is imported for the sake of a name."""
    for place in (builtins, celery.exceptions, billiard.exceptions):
        known = getattr(place, name, None)
        if isinstance(known, type) and issubclass(known, Exception):
            return known
    return _made(name)


def _made(name: str) -> type[Exception]:
    return type(name, (ResultError,), {"__doc__": f"{name}, as a task raised it.", "__module__": __name__})

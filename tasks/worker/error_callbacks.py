"""Error callbacks of attempts whose end no child has seen: told with the end, for dispatch to have them called."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog

from domain.task_run import TaskFailed, TaskLost, TaskRejected, TaskTimedOut
from tasks.worker.next_message import raw_body
from tasks.worker.outcome import Outcome, Raised
from tasks.worker.verdict import Verdict

LIMIT_BYTES: Final = 65_536
"""Callbacks that take more as JSON are not told, and so not called."""
_FAILURES: Final = frozenset({TaskFailed.TOPIC, TaskTimedOut.TOPIC, TaskLost.TOPIC, TaskRejected.TOPIC})
"""Ends that Celery calls them for; a run that was revoked or has expired has not failed."""

_log = structlog.get_logger("ledgerq.worker")


def uncalled(message: Any, outcome: Outcome, verdict: Verdict) -> list[Any] | None:
    """What is to be told of an end: the callbacks that its message names, unless the child has called them.

    Args:
        message: a kombu message; one that cannot be read has none.
        outcome: what the attempt came to.
        verdict: what follows.
    """
    if verdict.name not in _FAILURES or (isinstance(outcome, Raised) and outcome.is_told):
        return None
    try:
        found = (msgspec.json.decode(raw_body(message))[2] or {}).get("errbacks")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        return None
    if (size := len(msgspec.json.encode(found))) > LIMIT_BYTES:
        _log.warning("error callbacks are too large to be told of; they are not called", bytes=size, limit=LIMIT_BYTES)
        return None
    return found

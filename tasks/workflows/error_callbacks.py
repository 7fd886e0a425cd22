"""Error callbacks (``link_error``): whose they are, and how they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

import structlog
from celery import states

from tasks.worker.ending import current_ending

CALLBACKS: Final = UUID("0192d7a5-e6c4-7d80-b1a3-657272626163")
"""Namespace (RFC 9562, name-based UUIDs) of the runs of error callbacks."""

_log = structlog.get_logger(__name__)


class ErrorCallbacks:
    """What a result backend does when a task has failed: Celery asks it to call the callbacks."""

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: Any = None,
        request: Any = None,
        store_result: bool = True,  # noqa: FBT001, FBT002  Celery's signature
        call_errbacks: bool = True,  # noqa: FBT001, FBT002
        state: str = states.FAILURE,
    ) -> None:
        """Call them, unless another attempt follows; where that fails, dispatch has them called.

        There is nothing to store: the log knows what waits for the run.
        """
        del task_id, store_result, state
        end = current_ending()
        if not request or not call_errbacks or not request.errbacks or (end is not None and not end.is_last(exc)):
            return
        if end is None:
            self.call(request, exc, traceback)
            return
        try:
            self.call(request, exc, traceback)
        except Exception:  # noqa: BLE001  the task's own error is what is to be recorded
            _log.exception("error callbacks not called here; they are called by a run of their own")
        else:
            end.is_told = True

    def call(self, request: Any, exc: BaseException, traceback: Any) -> None:
        """Call the callbacks of a request: what takes one argument is sent, what takes three is executed here.

        Those that are sent are runs whose ids follow from that of the failed run: sent twice, each counts once.
        """
        request.errbacks = [_named(each, str(request.id), n) for n, each in enumerate(request.errbacks)]
        self._call_task_errbacks(request, exc, traceback)  # type: ignore[attr-defined]


def _named(errback: Mapping[str, Any], run_id: str, number: int) -> Mapping[str, Any]:
    options = errback.get("options") or {}
    if errback.get("subtask_type") is not None or options.get("task_id"):
        return errback
    return {**errback, "options": {**options, "task_id": str(uuid5(CALLBACKS, f"{run_id}/{number}"))}}

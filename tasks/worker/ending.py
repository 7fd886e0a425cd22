"""In the pool's children: whether what a task raises ends its run, known while Celery still handles the exception.

Celery calls error callbacks at that moment; where another attempt follows they are not to be called yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from random import random
from typing import Any

from domain.refusal import Refusal
from tasks.worker.envelope import MalformedMessageError, read_headers
from tasks.worker.outcome import DEADLY, Failure, Raised
from tasks.worker.resend import RetryDesk
from tasks.worker.retry import AttemptRules
from tasks.worker.verdict import Trial, judge


class Ending:
    """What is known of an attempt while it is executed.

    Attributes:
        desk: what its task has asked for.
        is_told: whether its error callbacks have been called.
    """

    def __init__(self, task: Any, desk: RetryDesk, run_id: str, request: Mapping[str, Any]) -> None:
        self.desk = desk
        self.is_told = False
        self._task = task
        self._run_id = run_id
        self._request = request

    def is_final(self, error: BaseException) -> bool:
        """Whether another attempt would be pointless after it."""
        listed = (*getattr(self._task, "no_retry_for", ()), *getattr(self._task, "dont_autoretry_for", ()))
        return self.desk.was_refused or isinstance(error, (Refusal, *listed))

    def is_last(self, error: BaseException) -> bool:
        """Whether the run ends with it: by the same rule as the worker's main process judges.

        What kills a process is judged as a death, by the main process alone: here it never is the last.
        """
        if self.desk.committed is not None or isinstance(error, DEADLY):
            return False
        try:
            envelope = read_headers({**self._request, "task": self._task.name, "id": self._run_id})
            trial = Trial(envelope.attempt, AttemptRules.of(self._task), random, envelope.spared)
        except (MalformedMessageError, TypeError, ValueError):
            return True
        return judge(Raised(Failure("", ""), final=self.is_final(error)), trial).following is None


_current: ContextVar[Ending | None] = ContextVar("ending", default=None)


@contextmanager
def ending(end: Ending) -> Iterator[None]:
    """Around the execution of the attempt."""
    token = _current.set(end)
    try:
        yield
    finally:
        _current.reset(token)


def current_ending() -> Ending | None:
    """That of the attempt this code executes; None where it executes none."""
    return _current.get()

"""Those who are told of attempts beside the log: metrics, and Celery's own tools."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from domain.task_run import HoldReason
from tasks.worker.attempt import Attempt
from tasks.worker.verdict import Verdict


class Watcher(Protocol):
    """Told on the consumer's thread: each method has to be quick, and must not raise."""

    def started(self, attempt: Attempt, *, waited: timedelta) -> None:
        """A child began an attempt that had waited in this worker for so long."""

    def held(self, because: HoldReason | None) -> None:
        """A message went back to wait; None: its time has not come."""

    def concluded(self, attempt: Attempt, verdict: Verdict, *, runtime_seconds: float | None) -> None:
        """An attempt came to an outcome."""

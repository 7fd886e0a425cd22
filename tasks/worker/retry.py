"""How often a task is tried, and how long the next attempt waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Any, Final, NamedTuple, Self

from domain.task_run import DEFAULT_MAX_RETRIES
from infra.broker.delay import MAX_DELAY


def bounded(seconds: float) -> timedelta:
    """``seconds`` as a delay the ladder has: nothing where it is negative or no number, at most ``MAX_DELAY``."""
    return timedelta(seconds=min(max(0.0, seconds), MAX_DELAY.total_seconds()))  # in this order, NaN becomes 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter and one budget over all causes.

    Attributes:
        start: longest wait after the first attempt.
        factor: what that grows by with every further attempt.
        maximum: what it never exceeds.
        max_retries: how many attempts may follow the first one; 0: none, whatever happens.
        jitter: whether the wait is drawn evenly between nothing and the longest wait ("full jitter", M. Brooker,
            "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), so that what failed together does not
            come back together; else it is the longest wait.
    """

    start: timedelta = timedelta(seconds=60)
    factor: float = 2.0
    maximum: timedelta = timedelta(seconds=3600)
    max_retries: int = DEFAULT_MAX_RETRIES
    jitter: bool = True

    def __post_init__(self) -> None:
        if self.start < timedelta(0) or self.maximum < timedelta(0) or self.factor < 1 or self.max_retries < 0:
            raise ValueError(f"a wait or a count below nothing, or a factor below 1: {self}")

    def delay(self, attempt: int, random: Callable[[], float]) -> timedelta:
        """How long the attempt after ``attempt`` (from 1) waits.

        Args:
            attempt: the one that came to nothing.
            random: draws from [0, 1).
        """
        longest = min(self._grown_seconds(attempt), self.maximum.total_seconds())
        return timedelta(seconds=longest * random() if self.jitter else longest)

    def _grown_seconds(self, attempt: int) -> float:
        start = self.start.total_seconds()
        try:
            return start * self.factor ** (attempt - 1)
        except OverflowError:
            return inf if start else 0.0


DEFAULT_RETRY_POLICY: Final = RetryPolicy()
NO_RETRIES: Final = RetryPolicy(max_retries=0)


class AttemptRules(NamedTuple):
    """What holds for the attempts of one task.

    Attributes:
        policy: the task's ``retry_policy``; None for a stock task.
        max_retries: how many attempts may follow the first one; None: any number (Celery's ``max_retries=None``).
        pause: how long a stock task's next attempt waits (Celery's ``default_retry_delay``).
        is_critical: whether people are to be told when a run of the task ends badly.
    """

    policy: RetryPolicy | None
    max_retries: int | None
    pause: timedelta = timedelta(0)
    is_critical: bool = False

    @classmethod
    def of(cls, task: Any) -> Self:
        """The rules of a Celery task: its ``retry_policy`` if it has one, else what Celery's own attributes say."""
        policy = getattr(task, "retry_policy", None)
        is_critical = bool(getattr(task, "critical", False))
        if isinstance(policy, RetryPolicy):
            return cls(policy, policy.max_retries, is_critical=is_critical)
        return cls(None, task.max_retries, bounded(task.default_retry_delay or 0), is_critical)

    @property
    def retries_exceptions(self) -> bool:
        """Whether an exception brings about another attempt by itself; a stock task has to ask (``self.retry()``)."""
        return self.policy is not None

    def allow_another(self, attempt: int) -> bool:
        """Whether the budget has an attempt left after ``attempt`` (from 1)."""
        return self.max_retries is None or attempt <= self.max_retries

    def delay(self, attempt: int, random: Callable[[], float]) -> timedelta:
        """How long the attempt after ``attempt`` waits where nobody says."""
        return self.policy.delay(attempt, random) if self.policy else self.pause

"""The verdict on an attempt: what is recorded, and where its message goes. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final, NamedTuple

import msgspec

from domain.task_run import (
    TaskExpired,
    TaskFailed,
    TaskLost,
    TaskRejected,
    TaskRetryScheduled,
    TaskRevoked,
    TaskSucceeded,
    TaskTimedOut,
)
from domain.wait import TaskWaitBegan
from infra.broker.delay import SHORTEST_DELAY
from tasks.worker.outcome import (
    Died,
    Failure,
    HandedOver,
    NotRun,
    Outcome,
    Raised,
    Refused,
    Resend,
    RetryAsked,
    Returned,
    Snoozed,
    TimedOut,
    Unsuccessful,
    Waiting,
)
from tasks.worker.retry import AttemptRules, bounded


class Fate(Enum):
    """What happens to the message once the outcome is recorded."""

    ACKNOWLEDGED = auto()
    DEAD_LETTERED = auto()


class NextAttempt(NamedTuple):
    """Another attempt, and what is different about its message.

    Attributes:
        delay: how long it waits.
        resend: what ``self.retry()`` wants to be different.
        is_spared: whether the attempt before it does not count against the budget.
    """

    delay: timedelta
    resend: Resend = Resend()
    is_spared: bool = False


class Verdict(NamedTuple):
    """What becomes of an attempt.

    Attributes:
        name: stored name of the event; None: nothing is to be said.
        data: the event's own fields.
        fate: of the message.
        following: the next attempt, if there is one; its message is confirmed before this one is acknowledged.
        waits: whether that message is kept in the log instead, until what the attempt waits for has come.
    """

    name: str | None
    data: dict[str, Any]
    fate: Fate = Fate.ACKNOWLEDGED
    following: NextAttempt | None = None
    waits: bool = False


class Trial(NamedTuple):
    """The circumstances under which an outcome is judged.

    Attributes:
        attempt: which one it was, from 1.
        rules: what holds for its task.
        random: draws from [0, 1).
        spared: how many of the attempts before it did not count against the budget.
    """

    attempt: int
    rules: AttemptRules
    random: Callable[[], float]
    spared: int = 0

    @property
    def counted(self) -> int:
        """Which attempt it was among those that count, from 1."""
        return self.attempt - self.spared

    @property
    def has_another(self) -> bool:
        """Whether the budget has an attempt left."""
        return self.rules.allow_another(self.counted)


def judge(outcome: Outcome, trial: Trial) -> Verdict:
    """What becomes of an attempt that came to ``outcome``."""
    match outcome:
        case Returned(result, payload):
            whole = {} if payload is None else {"payload": msgspec.Raw(payload)}
            return Verdict(TaskSucceeded.TOPIC, {"result": result, **whole})
        case HandedOver():
            return Verdict(None, {})
        case Snoozed() | Died(is_spared=True) | Waiting():
            return _spared(outcome)
        case RetryAsked(failure, delay_seconds, resend):
            return _again("exception", failure, NextAttempt(_delay(trial, delay_seconds), resend))
        case _ if _asks_for_another(outcome, trial.rules) and trial.has_another:
            return _again(_spent_by(outcome), outcome.failure, NextAttempt(_delay(trial, _waits(outcome))))
        case _:
            return _end(outcome, trial.rules)


def _spared(outcome: Snoozed | Died | Waiting) -> Verdict:
    if isinstance(outcome, Waiting):
        following = NextAttempt(timedelta(0), is_spared=True)
        return Verdict(TaskWaitBegan.TOPIC, {"terms": outcome.terms}, following=following, waits=True)
    if isinstance(outcome, Died):
        return _again(outcome.spent_by, outcome.failure, NextAttempt(timedelta(0), is_spared=True))
    delay = max(bounded(outcome.delay_seconds), SHORTEST_DELAY)
    return _again("snooze", outcome.failure, NextAttempt(delay, is_spared=True))


def _asks_for_another(outcome: Unsuccessful, rules: AttemptRules) -> bool:
    match outcome:
        case Raised(final=final):
            return rules.retries_exceptions and not final
        case Refused(requeue=requeue):
            return requeue
        case _:
            return isinstance(outcome, Died)


def _spent_by(outcome: Unsuccessful) -> str:
    return outcome.spent_by if isinstance(outcome, Died) else "exception"


def _waits(outcome: Unsuccessful) -> float | None:
    """Seconds until the next attempt, where the policy is not asked: a worker's death is rarely the task's doing."""
    return 0.0 if isinstance(outcome, Died) and outcome.spent_by == "redelivered" else None


def _delay(trial: Trial, asked_seconds: float | None) -> timedelta:
    if asked_seconds is None:
        return trial.rules.delay(trial.counted, trial.random)
    return bounded(asked_seconds)


def _again(spent_by: str, failure: Failure, following: NextAttempt) -> Verdict:
    data = {
        "spent_by": spent_by,
        "error_type": failure.type,
        "error": failure.text,
        "delay_seconds": following.delay.total_seconds(),
    }
    spared = {"is_spared": True} if following.is_spared else {}
    return Verdict(TaskRetryScheduled.TOPIC, data | spared, following=following)


def _end(outcome: Unsuccessful, rules: AttemptRules) -> Verdict:
    name = outcome.name if isinstance(outcome, NotRun) else _ENDS[type(outcome)]
    failure = outcome.failure
    data: dict[str, Any] = {"error_type": failure.type, "error": failure.text, "traceback": failure.traceback}
    if rules.is_critical:
        data["critical"] = True
    if isinstance(outcome, NotRun) and outcome.decided_by is not None:
        data["decided_by"] = outcome.decided_by
    return Verdict(name, data, Fate.ACKNOWLEDGED if name in _NOT_DEAD else Fate.DEAD_LETTERED)


_ENDS: Final[dict[type, str]] = {
    Raised: TaskFailed.TOPIC,
    Died: TaskLost.TOPIC,
    Refused: TaskRejected.TOPIC,
    TimedOut: TaskTimedOut.TOPIC,
}
_NOT_DEAD: Final = frozenset({TaskRevoked.TOPIC, TaskExpired.TOPIC})

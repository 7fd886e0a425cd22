from datetime import timedelta
from math import inf, nan

import pytest

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
)
from tasks.worker.retry import AttemptRules, RetryPolicy
from tasks.worker.verdict import Fate, Trial, judge

WHY = Failure("Boom", "it went off", "somewhere")
POLICY = AttemptRules(RetryPolicy(jitter=False, max_retries=2), 2)
STOCK = AttemptRules(None, 2, timedelta(seconds=180))


def trial(attempt: int = 1, rules: AttemptRules = POLICY) -> Trial:
    return Trial(attempt, rules, lambda: 0.5)


@pytest.mark.parametrize(
    ("outcome", "spent_by", "delay_seconds"),
    [
        (Raised(WHY), "exception", 60),
        (RetryAsked(WHY, None), "exception", 60),
        (RetryAsked(WHY, 7.5), "exception", 7.5),
        (RetryAsked(WHY, -3), "exception", 0),
        (RetryAsked(WHY, nan), "exception", 0),
        (RetryAsked(WHY, inf), "exception", 131_071),
        (RetryAsked(WHY, 1e18), "exception", 131_071),
        (Refused(WHY, requeue=True), "exception", 60),
        (Died(WHY), "worker_lost", 60),
        (Died(WHY, "redelivered"), "redelivered", 0),
    ],
)
def test_what_may_be_tried_again_is(outcome: Outcome, spent_by: str, delay_seconds: float) -> None:
    verdict = judge(outcome, trial())
    assert verdict.name == "task.retry_scheduled"
    assert verdict.data == {
        "spent_by": spent_by,
        "error_type": "Boom",
        "error": "it went off",
        "delay_seconds": delay_seconds,
    }
    assert verdict.following is not None
    assert verdict.following.delay == timedelta(seconds=delay_seconds)
    assert verdict.fate is Fate.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Raised(WHY), "task.failed"),
        (Refused(WHY, requeue=True), "task.rejected"),
        (Died(WHY), "task.lost"),
        (Died(WHY, "redelivered"), "task.lost"),
    ],
)
def test_once_the_budget_is_spent_the_same_ends_the_run(outcome: Outcome, end: str) -> None:
    verdict = judge(outcome, trial(attempt=3))
    assert (verdict.name, verdict.fate, verdict.following) == (end, Fate.DEAD_LETTERED, None)
    assert verdict.data == {"error_type": "Boom", "error": "it went off", "traceback": "somewhere"}


@pytest.mark.parametrize(
    ("outcome", "end", "fate"),
    [
        (Raised(WHY, final=True), "task.failed", Fate.DEAD_LETTERED),
        (Refused(WHY), "task.rejected", Fate.DEAD_LETTERED),
        (TimedOut(WHY), "task.timed_out", Fate.DEAD_LETTERED),
        (NotRun("task.rejected", WHY), "task.rejected", Fate.DEAD_LETTERED),
        (NotRun("task.revoked", WHY), "task.revoked", Fate.ACKNOWLEDGED),
        (NotRun("task.expired", WHY), "task.expired", Fate.ACKNOWLEDGED),
    ],
)
def test_some_ends_leave_no_budget_to_ask_for(outcome: Outcome, end: str, fate: Fate) -> None:
    verdict = judge(outcome, trial())
    assert (verdict.name, verdict.fate, verdict.following) == (end, fate, None)


def test_a_stock_task_that_raises_has_failed() -> None:
    assert judge(Raised(WHY), trial(rules=STOCK)).name == "task.failed"


def test_a_stock_task_that_asked_or_died_is_tried_again() -> None:
    asked = judge(RetryAsked(WHY, None, Resend(priority=3)), trial(rules=STOCK))
    assert asked.following == (timedelta(seconds=180), Resend(priority=3), False)
    died = judge(Died(WHY), trial(rules=STOCK))
    assert died.following == (timedelta(seconds=180), Resend(), False)


def test_what_celery_allowed_is_not_refused_by_our_budget() -> None:
    assert judge(RetryAsked(WHY, 1), trial(attempt=9)).name == "task.retry_scheduled"


@pytest.mark.parametrize(
    ("outcome", "spent_by", "delay_seconds"),
    [
        (Snoozed(WHY, 7.5), "snooze", 7.5),
        (Snoozed(WHY, -1), "snooze", 0.125),
        (Snoozed(WHY, nan), "snooze", 0.125),
        (Snoozed(WHY, 1e18), "snooze", 131_071),
        (Died(WHY, "shutdown", is_spared=True), "shutdown", 0),
        (Died(WHY, "redelivered", is_spared=True), "redelivered", 0),
    ],
)
def test_what_is_spared_has_another_attempt_whatever_the_budget(
    outcome: Outcome, spent_by: str, delay_seconds: float
) -> None:
    verdict = judge(outcome, trial(attempt=9))
    assert verdict.name == "task.retry_scheduled"
    assert (verdict.data["spent_by"], verdict.data["is_spared"]) == (spent_by, True)
    assert verdict.following == (timedelta(seconds=delay_seconds), Resend(), True)


def test_attempts_that_were_spared_neither_spend_the_budget_nor_lengthen_the_wait() -> None:
    snoozed = Trial(7, POLICY, lambda: 0.5, spared=5)
    verdict = judge(Raised(WHY), snoozed)
    assert (verdict.name, verdict.data["delay_seconds"]) == ("task.retry_scheduled", 120)
    assert judge(Raised(WHY), snoozed._replace(attempt=8)).name == "task.failed"


def test_success_is_acknowledged() -> None:
    verdict = judge(Returned("42"), trial())
    assert (verdict.name, verdict.data, verdict.fate) == ("task.succeeded", {"result": "42"}, Fate.ACKNOWLEDGED)


def test_of_a_run_that_goes_on_as_another_task_nothing_is_said() -> None:
    verdict = judge(HandedOver(), trial())
    assert (verdict.name, verdict.fate) == (None, Fate.ACKNOWLEDGED)


@pytest.mark.parametrize("outcome", [Raised(WHY), TimedOut(WHY), Died(WHY), Refused(WHY)])
def test_the_bad_end_of_a_critical_task_says_that_it_is_one(outcome: Outcome) -> None:
    critical = POLICY._replace(is_critical=True)
    assert judge(outcome, trial(3, critical)).data["critical"] is True
    assert "critical" not in judge(outcome, trial(3)).data
    assert "critical" not in judge(Raised(WHY), trial(1, critical)).data

from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from tasks.worker.retry import DEFAULT_RETRY_POLICY, NO_RETRIES, AttemptRules, RetryPolicy


def seconds(policy: RetryPolicy, *, draw: float) -> list[float]:
    return [policy.delay(attempt, lambda: draw).total_seconds() for attempt in range(1, 9)]


def test_the_longest_wait_doubles_from_a_minute_to_an_hour() -> None:
    steady = RetryPolicy(jitter=False)
    assert seconds(steady, draw=0.5) == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_with_jitter_the_wait_is_drawn_between_nothing_and_the_longest() -> None:
    assert seconds(DEFAULT_RETRY_POLICY, draw=0.0) == [0] * 8
    assert seconds(DEFAULT_RETRY_POLICY, draw=0.5)[:3] == [30, 60, 120]


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.floats(1, 100))
def test_no_wait_is_longer_than_the_maximum(attempt: int, draw: float, factor: float) -> None:
    policy = RetryPolicy(factor=factor)
    assert timedelta(0) <= policy.delay(attempt, lambda: draw) <= policy.maximum


@pytest.mark.parametrize("nonsense", [{"max_retries": -1}, {"factor": 0.5}, {"start": timedelta(seconds=-1)}])
def test_a_policy_that_makes_no_sense_is_refused(nonsense: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="below"):
        RetryPolicy(**nonsense)  # type: ignore[arg-type]


def test_the_budget_counts_attempts_after_the_first() -> None:
    rules = AttemptRules.of(SimpleNamespace(retry_policy=RetryPolicy(max_retries=2)))
    assert [rules.allow_another(attempt) for attempt in (1, 2, 3)] == [True, True, False]
    assert not AttemptRules.of(SimpleNamespace(retry_policy=NO_RETRIES)).allow_another(1)


def test_a_stock_task_keeps_celerys_rules() -> None:
    rules = AttemptRules.of(SimpleNamespace(max_retries=1, default_retry_delay=180))
    assert not rules.retries_exceptions
    assert rules.delay(1, lambda: 0.0) == timedelta(seconds=180)
    assert (rules.allow_another(1), rules.allow_another(2)) == (True, False)
    assert AttemptRules.of(SimpleNamespace(max_retries=None, default_retry_delay=None)).allow_another(10**6)


def do_nothing() -> None:
    pass


def test_a_policy_can_be_given_to_all_tasks_or_by_name() -> None:
    app = Celery(set_as_current=False)
    app.Task.retry_policy = RetryPolicy(max_retries=7)
    app.conf.task_annotations = {"lab.named": {"retry_policy": NO_RETRIES}}
    named = app.task(name="lab.named", shared=False)(do_nothing)
    other = app.task(name="lab.other", shared=False)(do_nothing)
    own = app.task(name="lab.own", shared=False, retry_policy=RetryPolicy(max_retries=1))(do_nothing)
    assert [AttemptRules.of(task).max_retries for task in (named, other, own)] == [0, 7, 1]

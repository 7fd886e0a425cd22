"""What fails is left alone for a while, longer each time."""

from __future__ import annotations

from datetime import timedelta

from tasks.dispatch.backoff import Backoff


def a_backoff() -> Backoff:
    return Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=5))


def test_what_has_not_failed_may_be_tried() -> None:
    assert a_backoff().is_over(0.0)


def test_pauses_double_up_to_the_longest() -> None:
    backoff = a_backoff()
    assert [backoff.fail(100.0) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_the_pause_counts_from_the_failure() -> None:
    backoff = a_backoff()
    backoff.fail(100.0)
    assert not backoff.is_over(100.9)
    assert backoff.is_over(101.0)


def test_after_a_success_the_next_failure_begins_anew() -> None:
    backoff = a_backoff()
    backoff.fail(100.0)
    backoff.fail(100.0)
    backoff.succeed()
    assert backoff.is_over(100.0)
    assert backoff.fail(100.0) == 1

from datetime import timedelta

import pytest

from tasks.worker.pace import MOST, Pace

ALLOWANCE = timedelta(milliseconds=50)


def paced(*, attempts: int, seconds_each: float, allowance: timedelta = ALLOWANCE, children: int = 2) -> Pace:
    pace = Pace(allowance=allowance, children=children)
    for number in range(attempts):
        pace.begin(number, now=0.0)
        pace.finish(number, now=seconds_each)
    return pace


@pytest.mark.parametrize(("seconds_each", "ahead"), [(0.000_1, MOST), (0.01, 10), (0.04, 2), (0.2, 0)])
def test_as_much_is_taken_ahead_as_the_children_are_through_with_in_the_allowance(
    seconds_each: float, ahead: int
) -> None:
    assert paced(attempts=20, seconds_each=seconds_each).ahead(now=1.0) == ahead


def test_without_an_allowance_nothing_is_taken_ahead() -> None:
    assert paced(attempts=20, seconds_each=0.000_1, allowance=timedelta(0)).ahead(now=1.0) == 0


def test_a_worker_that_has_little_to_do_takes_nothing_ahead() -> None:
    pace = paced(attempts=20, seconds_each=0.001)
    assert pace.ahead(now=1.0) > 0
    assert pace.ahead(now=1.1) == 0


def test_behind_an_attempt_that_takes_long_nothing_is_taken_and_nothing_may_wait() -> None:
    pace = paced(attempts=20, seconds_each=0.001)
    pace.begin("long", now=1.0)
    assert not pace.is_stuck(now=1.05)
    assert pace.is_stuck(now=1.2)
    assert pace.ahead(now=1.2) == 0
    pace.finish("long", now=1.3)
    assert not pace.is_stuck(now=1.3)


def test_an_attempt_that_its_child_never_began_is_forgotten() -> None:
    pace = paced(attempts=20, seconds_each=0.001)
    pace.begin("never", now=0.0)
    assert pace.occupied() == ["never"]
    assert pace.is_stuck(now=60.0)
    pace.forget(pace.occupied())
    assert not pace.is_stuck(now=60.0)
    assert pace.ahead(now=60.0) > 0


def test_an_attempt_that_ends_twice_counts_once() -> None:
    pace = Pace(allowance=ALLOWANCE, children=1)
    pace.begin("a", now=0.0)
    pace.finish("a", now=1.0)
    pace.finish("a", now=9.0)
    pace.finish("unknown", now=9.0)
    assert pace.ahead(now=9.0) == 0

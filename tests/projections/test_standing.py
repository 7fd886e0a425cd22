from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.heard import Beat
from projections.moments import NEVER, microseconds
from projections.returns import SILENCE, Return
from projections.standing import Before, Standing, silent_since, stand
from tests.projections.histories import at

SILENCE_SECONDS = int(SILENCE.total_seconds())
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SECOND = timedelta(seconds=1) // timedelta(microseconds=1)


def us(seconds: float) -> int:
    return microseconds(at(seconds))


def test_each_heartbeat_has_one_outcome() -> None:
    beats = [
        Beat(us(10), us(0), us(11)),
        Beat(us(20), us(81), us(82)),  # late: more than a minute of log time after it
        Beat(us(20), us(81), us(83)),  # repeated
        Beat(us(15), us(81), us(84)),  # out of order
        Beat(us(90), us(81), us(90), ahead=7 * SECOND),
    ]
    standing = stand("s1", beats, before=Before())
    assert (standing.last, standing.news, standing.heard_at) == (us(90), 3, us(90))
    assert (standing.late, standing.repeated, standing.out_of_order, standing.future) == (1, 1, 1, 1)
    assert standing.news + standing.repeated + standing.out_of_order == len(beats)


def test_delays_are_those_of_news_and_below_zero_where_a_clock_is_ahead() -> None:
    beats = [Beat(us(10), NEVER, us(13)), Beat(us(9), NEVER, us(9)), Beat(us(20), NEVER, us(25))]
    standing = stand("s1", beats, before=Before())
    assert (standing.least_delay, standing.last_delay) == (3 * SECOND, 5 * SECOND)
    ahead = stand("s1", [Beat(us(10), NEVER, us(11), ahead=9 * SECOND)], before=Before())
    assert ahead.least_delay == -8 * SECOND


def test_a_heartbeat_is_a_sign_of_life_when_it_is_recorded_news_or_not() -> None:
    behind = [Beat(us(9), us(0), us(20)), Beat(us(2), us(10), us(210)), Beat(us(10), us(295), us(296))]
    assert [each.recorded_at for each in stand("s1", behind, before=Before()).returns] == [us(20)]


def test_a_silence_is_told_with_what_was_known_before_it() -> None:
    standing = stand("s1", [Beat(us(400), us(300), us(401))], before=Before(us(10), us(12), us(10)))
    assert standing.returns == [Return("s1", us(401), us(400), us(10), us(12), us(300))]


def test_a_silence_that_no_news_broke_ends_with_the_first_news_since() -> None:
    old, news = Beat(us(5), us(300), us(301)), Beat(us(310), us(300), us(311))
    known = Before(us(10), us(12), us(10))
    silence = Return("s1", us(301), us(310), us(10), us(12), us(300))
    assert stand("s1", [old, news], before=known).returns == [silence]
    first = stand("s1", [old], before=known)
    assert first.returns == [silence._replace(heartbeat_at=NEVER)]
    then = stand("s1", [news], before=Before(first.last, first.heard_at, first.back_at))
    assert (then.returns, then.filled_at) == ([], us(310))


BEATS = st.lists(
    st.tuples(*[st.integers(0, 4 * SILENCE_SECONDS)] * 3, st.sampled_from((0, 0, 5))), min_size=1, max_size=6
)


@PATIENT
@given(beats=BEATS, cuts=st.sets(st.integers(1, 5)), last=st.none() | st.integers(0, 4 * SILENCE_SECONDS))
def test_where_a_page_ends_makes_no_difference(
    beats: Sequence[tuple[int, int, int, int]], cuts: set[int], last: int | None
) -> None:
    told = [Beat(us(seconds), us(log_time), us(heard), ahead * SECOND) for seconds, log_time, heard, ahead in beats]
    before = Before() if last is None else Before(us(last), us(last), us(last))
    whole = stand("s1", told, before=before)
    steps: list[Standing] = []
    for first, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(told)], strict=True):
        if part := told[first:end]:
            steps.append(stand("s1", part, before=before))
            before = Before(steps[-1].last, steps[-1].heard_at, steps[-1].back_at)
            if (back_at := steps[-1].filled_at) is not None:
                for step in steps[:-1]:
                    step.returns = [
                        each._replace(heartbeat_at=back_at) if each.heartbeat_at == NEVER else each
                        for each in step.returns
                    ]
    for name in ("news", "late", "future", "repeated", "out_of_order", "returns"):
        assert sum((getattr(step, name) for step in steps), type(getattr(whole, name))()) == getattr(whole, name)
    delays = [step.least_delay for step in steps if step.least_delay is not None]
    assert min(delays, default=None) == whole.least_delay
    assert (before.last, before.heard_at) == (whole.last, whole.heard_at)


@PATIENT
@given(beat=BEATS, last=st.integers(0, 4 * SILENCE_SECONDS), heard=st.integers(0, 4 * SILENCE_SECONDS))
def test_a_moment_says_of_a_single_heartbeat_what_standing_says_of_it(
    beat: Sequence[tuple[int, int, int, int]], last: int, heard: int
) -> None:
    told = Beat(us(beat[0][0]), us(beat[0][1]), us(0))
    (moment,) = silent_since([told.log_time])
    standing = stand("s1", [told], before=Before(us(last), us(heard), us(last)))
    assert (max(us(last), us(heard)) < moment) == bool(standing.returns)

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from domain.heartbeat import Heartbeat, HeartbeatsReceived
from projections.heartbeats import advances, last_heard, microseconds
from tests.projections.histories import at, minted


def batch(*beats: tuple[str, float]) -> HeartbeatsReceived:
    return HeartbeatsReceived.of([Heartbeat(session, at(seconds)) for session, seconds in beats], batch_id=minted("b"))


def test_only_heartbeats_newer_than_every_earlier_one_of_their_session_advance_it() -> None:
    found = advances([batch(("a", 1), ("b", 5), ("a", 3)), batch(("a", 2), ("a", 3), ("b", 6))])
    assert found.session_ids == ["a", "b", "a", "b"]
    assert found.heartbeats == [microseconds(at(seconds)) for seconds in (1, 5, 3, 6)]
    assert found.before == [None, None, found.heartbeats[0], found.heartbeats[1]]


@given(beats=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1), known=st.integers(-1, 9))
def test_counting_only_those_that_advance_gives_what_counting_one_by_one_gives(
    beats: list[tuple[str, int]], known: int
) -> None:
    one_by_one: dict[str, tuple[datetime, int]] = {"a": (at(known), 0), "b": (at(known), 0)}
    for session, seconds in beats:
        last, count = one_by_one[session]
        if at(seconds) > last:
            one_by_one[session] = (at(seconds), count + 1)
    advanced = advances([batch(*beats)])
    found = [(name, beat) for name, beat in zip(*advanced[:2], strict=True) if beat > microseconds(at(known))]
    for session, (last, count) in one_by_one.items():
        mine = [moment for name, moment in found if name == session]
        assert (len(mine), max(mine, default=microseconds(at(known)))) == (count, microseconds(last))


def test_a_heartbeat_is_a_sign_of_life_when_it_is_recorded_news_or_not() -> None:
    assert last_heard([(batch(("a", 9)), at(20)), (batch(("a", 2), ("b", 1)), at(21)), (batch(("b", 2)), at(19))]) == {
        "a": microseconds(at(21)),
        "b": microseconds(at(21)),
    }

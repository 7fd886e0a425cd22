"""When a run counts as nowhere, and when nothing can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.tier import Tier
from infra.broker.topology import DEAD_RECORD
from tasks.reconcile.judging import Begun, Evidence, Shortfall, Standing, judge, shortfalls
from tasks.reconcile.look import RUNGS, Hand, Look
from tasks.reconcile.open_run import OpenRun, Place

START = datetime(2026, 11, 26, 8, tzinfo=UTC)
SOMEBODY = ("host", 7)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(**changes: Any) -> OpenRun:
    usual: dict[str, Any] = {
        "run_id": "r1",
        "task": "report",
        "tier": Tier.NORMAL,
        "priority": 2,
        "place": Place.QUEUE,
        "attempt": 1,
        "last": "task.published",
        "since": at(-100),
        "due": None,
        "worker": None,
        "request_position": 5,
        "copies": 0,
        "spared": 0,
    }
    return OpenRun(**{**usual, **changes})


def look(
    second: float,
    *,
    ready: int = 0,
    ladder: int = 0,
    hands: tuple[Hand, ...] = (),
    unacknowledged: int = 0,
    letters: int = 0,
) -> Look:
    return Look(
        at(second),
        {
            **{tier.queue: 0 for tier in Tier},
            **dict.fromkeys(RUNGS, 0),
            "tasks.normal": ready,
            RUNGS[0]: ladder,
            DEAD_RECORD: letters,
        },
        {tier: hands if tier is Tier.NORMAL else () for tier in Tier},
        {tier: unacknowledged if tier is Tier.NORMAL else 0 for tier in Tier},
        frozenset({SOMEBODY}),
    )


def hand(unacknowledged: int = 0, *, identity: str = "one") -> tuple[Hand, ...]:
    return (Hand(identity, SOMEBODY, unacknowledged),)


def evidence(*looks: Look, **known: Any) -> Evidence:
    usual: dict[str, Any] = {"dispatched": dict.fromkeys(Tier, 10), "begun": [], "executing": {}}
    first, second, third = looks or (look(0), look(7), look(14))
    return Evidence((first, second, third), **{**usual, **known})


def begun(**changes: Any) -> Begun:
    usual = {
        "tier": Tier.NORMAL,
        "priority": 2,
        "entered_after": at(1),
        "received_at": at(3),
        "process": SOMEBODY,
    }
    return Begun(**{**usual, **changes})


def standing(which: OpenRun, known: Evidence) -> Standing:
    (found,) = [standing for standing, runs in judge([which], known).items() if runs]
    return found


def test_a_run_whose_queue_is_empty_and_whom_nobody_has_is_nowhere() -> None:
    assert standing(run(), evidence()) is Standing.NOWHERE


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (run(since=at(1)), Standing.MOVING),
        (run(place=Place.DISPATCH, request_position=11), Standing.AT_DISPATCH),
        (run(place=Place.DISPATCH, request_position=10), Standing.NOWHERE),
        (run(place=Place.LOG), Standing.WAITING),
        (run(resumed_position=11), Standing.AT_DISPATCH),
        (run(resumed_position=10), Standing.NOWHERE),
        (run(place=Place.WORKER, worker="normal@host:7"), Standing.AT_WORKER),
        (run(place=Place.WORKER, worker="normal@host:8"), Standing.NOWHERE),
        (run(place=Place.LADDER, due=at(-100)), Standing.NOWHERE),
        (run(place=Place.LADDER, due=at(-10)), Standing.MOVING),
        (run(place=Place.LADDER, due=at(10)), Standing.MOVING),
        (run(place=Place.LADDER, due=at(600)), Standing.NOWHERE),
    ],
)
def test_where_the_log_says_a_run_is(which: OpenRun, expected: Standing) -> None:
    assert standing(which, evidence()) is expected


def test_a_run_that_waits_in_the_ladder_is_not_named_while_the_ladder_holds_anything() -> None:
    holding = evidence(look(0), look(7), look(14, ladder=1))
    assert standing(run(place=Place.LADDER, due=at(600)), holding) is Standing.EXPECTED
    assert standing(run(place=Place.LADDER, due=at(-100), last="task.received"), holding) is Standing.EXPECTED
    assert standing(run(place=Place.LADDER, due=at(-100)), holding) is Standing.NOWHERE


def test_a_run_that_was_put_back_is_in_the_queue_at_the_third_look() -> None:
    assert standing(run(), evidence(look(0), look(7), look(14, ready=1))) is Standing.EXPECTED


def test_nothing_is_named_while_dead_letters_wait_to_be_recorded() -> None:
    assert standing(run(), evidence(look(0), look(7), look(14, letters=1))) is Standing.EXPECTED


def test_a_run_that_is_to_wait_in_the_ladder_may_have_come_back_to_the_queue_with_a_lost_connection() -> None:
    waiting = run(place=Place.LADDER, due=at(600), last="task.retry_scheduled")
    assert standing(waiting, evidence(look(0), look(7, ready=1), look(14))) is Standing.EXPECTED


BUSY = (look(0, ready=9), look(7, ready=9), look(14, ready=9))


@pytest.mark.parametrize(
    ("overtaking", "expected"),
    [
        ([], Standing.EXPECTED),
        ([begun()], Standing.NOWHERE),
        ([begun(priority=3)], Standing.EXPECTED),
        ([begun(tier=Tier.HIGH)], Standing.EXPECTED),
        ([begun(entered_after=at(-1))], Standing.EXPECTED),
        ([begun(received_at=at(0.5))], Standing.EXPECTED),
        ([begun(received_at=at(7.5))], Standing.EXPECTED),
    ],
)
def test_in_a_queue_that_is_never_empty_a_run_is_missing_once_a_later_one_overtook_it(
    overtaking: list[Begun], expected: Standing
) -> None:
    assert standing(run(), evidence(*BUSY, begun=overtaking)) is expected


@pytest.mark.parametrize(
    ("third", "known", "expected"),
    [
        (hand(0), {}, Standing.NOWHERE),
        (hand(1), {}, Standing.EXPECTED),
        (hand(1), {"executing": {SOMEBODY: 1}}, Standing.NOWHERE),
        (hand(2), {"executing": {SOMEBODY: 1}}, Standing.EXPECTED),
        (hand(2), {"begun": [begun(received_at=at(9))]}, Standing.NOWHERE),
        (hand(2), {"begun": [begun(received_at=at(7.5))]}, Standing.EXPECTED),
        (hand(2), {"begun": [begun(received_at=at(9), priority=3)]}, Standing.EXPECTED),
        (hand(2), {"begun": [begun(received_at=at(9), process=("host", 8))]}, Standing.EXPECTED),
        (hand(0, identity="another"), {}, Standing.EXPECTED),
    ],
)
def test_a_run_may_be_in_the_hands_of_a_worker_that_has_not_begun_it(
    third: tuple[Hand, ...], known: dict[str, Any], expected: Standing
) -> None:
    looks = (look(0, hands=hand()), look(7, hands=hand()), look(14, hands=third))
    assert standing(run(), evidence(*looks, **known)) is expected


def test_a_message_in_the_hands_of_somebody_who_does_not_consume_counts() -> None:
    assert standing(run(), evidence(look(0), look(7), look(14, unacknowledged=1))) is Standing.EXPECTED


def test_what_was_read_is_seen_and_what_was_not_read_is_nowhere() -> None:
    known = evidence(*BUSY, contents=frozenset({"r1"}))
    assert standing(run(), known) is Standing.SEEN
    assert standing(run(run_id="r2"), known) is Standing.NOWHERE


def test_more_runs_than_messages_is_a_shortfall() -> None:
    known = evidence(look(0, ready=2), look(7, ready=1), look(14, ready=1, hands=hand(1)))
    assert shortfalls([run()] * 3, known) == []
    assert shortfalls([run()] * 4, known) == [Shortfall("tasks.normal", expected=4, held=3)]

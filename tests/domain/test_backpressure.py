from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.backpressure import BacklogFull, Backpressure, Seen
from domain.tier import Tier

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def seen(ready: int, *, limit: int = 10) -> Seen:
    return Seen(ready_messages=ready, limit_messages=limit, backlog_runs=3, at=NOON)


def test_what_begins_and_ends_at_one_place_of_the_log_is_one_stream() -> None:
    off = Backpressure(Tier.LOW, 4711)
    began = off.begin(seen(11))
    on = off.after(began)
    ended = on.end(seen(8))
    assert (off.is_on, on.is_on, on.after(ended).is_on) == (False, True, False)
    assert began.originator_id == ended.originator_id == "backpressure-low@4711"
    assert [began.originator_version, ended.originator_version] == [1, 2]
    assert on.after(ended).begin(seen(10)).originator_version == 3


def test_the_facts_say_what_was_seen() -> None:
    told = Backpressure(Tier.HIGH, 1).begin(seen(12)).data()
    assert told == {
        "tier": "high",
        "queue": "tasks.high",
        "ready_messages": 12,
        "limit_messages": 10,
        "backlog_runs": 3,
    }


@pytest.mark.parametrize(
    ("ready", "is_full", "has_room_again"), [(8, False, True), (9, False, False), (10, True, False), (11, True, False)]
)
def test_between_room_and_full_nothing_changes(ready: int, is_full: bool, has_room_again: bool) -> None:  # noqa: FBT001
    assert (seen(ready).is_full, seen(ready).has_room_again) == (is_full, has_room_again)


def test_a_queue_of_one_has_room_once_it_is_empty() -> None:
    assert not seen(1, limit=1).has_room_again
    assert seen(0, limit=1).has_room_again


def test_the_refusal_says_how_many_wait_and_how_many_may() -> None:
    refusal = BacklogFull("task_run-1", tier="low", backlog_runs=12, limit_runs=10)
    assert refusal.code == "BacklogFull"
    assert "tier low is full: 12 runs wait to be published, 10 may" in str(refusal)

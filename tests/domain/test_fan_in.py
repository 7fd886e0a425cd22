"""When a fan-in is settled: whatever the order of its members' ends, and however often they are told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fan_in import Count, Standing, standing
from domain.messages import MessageInvalid, decode_data


def after(ends: list[bool], total: int, least: int | None) -> Standing:
    return standing(Count(total, ends.count(True), ends.count(False)), least)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.none() | st.integers(1, 15))
def test_once_settled_no_later_end_changes_it_and_all_ends_settle_it(ends: list[bool], least: int | None) -> None:
    total, came_to = len(ends), Standing.OPEN
    for number in range(total + 1):
        now = after(ends[:number], total, least)
        assert came_to in {Standing.OPEN, now}
        came_to = now
    wanted = total if least is None else min(least, total)
    assert came_to is (Standing.COMPLETED if ends.count(True) >= wanted else Standing.FAILED)


def test_one_failure_settles_what_wants_all_at_once() -> None:
    assert after([False], 20, None) is Standing.FAILED
    assert after([False] * 17, 20, 3) is Standing.OPEN
    assert after([False] * 18, 20, 3) is Standing.FAILED
    assert after([True], 20, 1) is Standing.COMPLETED


def test_a_declaration_whose_body_nothing_can_be_asked_for_by_is_refused() -> None:
    body = {"task": "total", "options": {"task_id": "run-2"}}
    told = {"fan_in_id": "fan-1", "members": [["run-1"]]}
    decode_data("fan_in.declared", msgspec.json.encode({**told, "body": body}))
    for bad in ({}, {**body, "options": {}}, {**body, "kwargs": 7}):
        with pytest.raises(MessageInvalid, match="body: "):
            decode_data("fan_in.declared", msgspec.json.encode({**told, "body": bad}))

"""What a step that waits asks for, and what it makes of the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.wait import WaitTerms
from tasks.catalog.waiting import WaitTimedOut, wait_for, wait_for_event, wait_until
from tasks.worker.waiting import Wait

NOON = datetime(2026, 12, 24, 12, tzinfo=UTC)
EVENT = {"id": "1", "name": "license.renewed", "data": {}}


def asked(step: Any, *args: Any, **kwargs: Any) -> WaitTerms:
    with pytest.raises(Wait) as raised:
        step.run(*args, **kwargs)
    return raised.value.terms


def test_moments_and_lengths_of_time_become_what_json_holds() -> None:
    signature = wait_for_event.s("license.renewed", match={"at": NOON}, timeout=timedelta(hours=2), since=NOON)
    assert signature.args == ("license.renewed",)
    assert signature.kwargs == {"match": {"at": NOON.isoformat()}, "timeout": 7200.0, "since": NOON.isoformat()}
    assert wait_until.s(NOON).args == (NOON.isoformat(),)
    assert wait_for.si(timedelta(minutes=1)).args == (60.0,)


def test_a_step_says_what_it_waits_for() -> None:
    terms = asked(wait_for_event, "before", "license.renewed", match={"license_id": "L1"}, since=60)
    assert terms == WaitTerms(event="license.renewed", match={"license_id": "L1"}, lookback_seconds=60.0)
    until = asked(wait_for_event, "license.renewed", timeout=3600, since=NOON.isoformat())
    assert until.since == NOON
    assert until.until is not None
    assert timedelta(minutes=59) < until.until - datetime.now(UTC) < timedelta(minutes=61)
    assert asked(wait_until, NOON.isoformat()) == WaitTerms(until=NOON)


def test_what_came_is_returned_and_what_came_before_is_passed_on() -> None:
    assert wait_for_event.run("license.renewed", came={"event": EVENT}) == EVENT
    assert wait_for_event.run(7, "license.renewed", came={"event": EVENT}) == {**EVENT, "given": 7}
    assert wait_for.run(7, 3, came={"event": None}) == 7
    assert wait_until.run(NOON.isoformat(), came={"event": None}) is None


def test_what_did_not_come_in_time_fails_or_is_none() -> None:
    late = {"timed_out": "2026-12-24T12:00:00+00:00"}
    with pytest.raises(WaitTimedOut, match=r"license.renewed did not come before 2026-12-24"):
        wait_for_event.run("license.renewed", came=late)
    assert wait_for_event.run("license.renewed", on_timeout="none", came=late) is None


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        ((), {}, "takes an event's name"),
        ((1, 2, "license.renewed"), {}, "not 3 arguments"),
        (("license.expected",), {}, "no event is called 'license.expected'"),
        ((7,), {}, "no event is called 7"),
        (("session.heartbeats_received",), {}, "cannot be waited for"),
        (("backpressure.began",), {}, "only what begins with license, notice"),
        (("license.renewed",), {"match": ["L1"]}, "match: "),
        (("license.renewed",), {"timeout": -1}, "timeout: -1"),
        (("license.renewed",), {"timeout": 1e300}, "timeout: "),
        (("license.renewed",), {"timeout": "soon"}, "timeout: 'soon' is no ISO 8601"),
        (("license.renewed",), {"since": "2026-12-01T09:00:00"}, "has no offset"),
        (("license.renewed",), {"since": 1e10}, "since: "),
        (("license.renewed",), {"since": ["2026-12-01T09:00:00Z"]}, "since: "),
        (("license.renewed",), {"on_timeout": "raise"}, "on_timeout: 'raise' is neither"),
    ],
)
def test_what_cannot_be_asked_for_is_said(given: tuple[Any, ...], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        wait_for_event.run(*given, **options)


def test_a_task_of_one_s_own_cannot_wait_for_what_never_comes() -> None:
    for terms in (WaitTerms(), WaitTerms(event="backpressure.began")):
        with pytest.raises(ValueError, match="wait"):
            Wait(terms)


@pytest.mark.parametrize(
    ("step", "given"), [(wait_for, "3"), (wait_for, True), (wait_until, 3), (wait_until, "9999-12-31T00:00:00Z")]
)
def test_a_time_that_is_none_is_said(step: Any, given: Any) -> None:
    with pytest.raises(ValueError, match="wait_"):
        step.run(given)

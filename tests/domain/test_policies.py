from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.aggregate import Event
from domain.license import License
from domain.policies import decide

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_the_holder_is_told_once_for_each_notice_and_for_the_end() -> None:
    license_ = License.issue("L1", valid_until=NOW - timedelta(days=1), at=NOW - timedelta(days=300))
    license_.judge_term(now=NOW)
    commands = [command for event in license_.collect_events() if isinstance(event, Event) for command in decide(event)]
    assert [command.task for command in commands] == ["send_license_notice"] * 4
    assert [command.kwargs["days_left"] for command in commands] == [30, 7, 1, 0]
    assert len({command.kwargs["notice_id"] for command in commands}) == 4


def test_an_event_without_a_policy_asks_for_nothing() -> None:
    license_ = License.issue("L1", valid_until=NOW + timedelta(days=1), at=NOW)
    (issued,) = license_.collect_events()
    assert isinstance(issued, Event)
    assert decide(issued) == ()

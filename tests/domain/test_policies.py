from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.aggregate import Event
from domain.license import License
from domain.license_policy import Expiry, LicensePolicy
from domain.notice import NOTICE_TASKS
from domain.policies import RequestTask, RevokeStory, RevokeWork, decide
from domain.ruling import ABOUT_LICENSES
from domain.story import story_revocation_requested
from domain.task_run import task_event

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_holder_is_told_once_for_each_notice_and_for_the_end() -> None:
    license_ = License.issue("L1", valid_until=NOW - timedelta(days=1), at=NOW - timedelta(days=300))
    license_.judge_term(now=NOW)
    decided = [command for event in license_.collect_events() if isinstance(event, Event) for command in decide(event)]
    commands = [command for command in decided if isinstance(command, RequestTask)]
    assert [command.task for command in commands] == ["send_license_notice"] * 4
    assert [command.kwargs["days_left"] for command in commands] == [30, 7, 1, 0]
    assert len({command.kwargs["notice_id"] for command in commands}) == 4


def all_that_happens(expiry: Expiry) -> list[Event]:
    """A license that is suspended, expires, comes under another policy and is revoked."""
    license_ = License.issue("L1", valid_until=NOW, at=NOW - timedelta(days=90), policy=LicensePolicy(expiry=expiry))
    license_.suspend(reason="unpaid", at=NOW - timedelta(days=1))
    license_.judge_term(now=NOW)
    other = Expiry.RESTRICT if expiry is Expiry.REVOKE else Expiry.REVOKE
    license_.change_policy(LicensePolicy(expiry=other), at=NOW)
    license_.revoke(reason="terminated", at=NOW)
    return [event for event in license_.collect_events() if isinstance(event, Event)]


@pytest.mark.parametrize(
    ("expiry", "ends"),
    [
        (Expiry.REVOKE, ["license.expired", "license.revoked"]),
        (Expiry.RESTRICT, ["license.policy_changed", "license.revoked"]),
    ],
    ids=["revoke", "restrict"],
)
def test_the_work_of_a_license_is_to_end_when_it_is_revoked_or_ends_under_such_a_policy(
    expiry: Expiry, ends: list[str]
) -> None:
    asked = [(event.TOPIC, command) for event in all_that_happens(expiry) for command in decide(event)]
    work = RevokeWork(purpose="end_its_work", license_id="L1")
    assert [(name, command) for name, command in asked if isinstance(command, RevokeWork)] == [
        (name, work) for name in ends
    ]


def test_no_license_decides_about_the_tasks_that_its_own_events_ask_for() -> None:
    commands = [command for event in all_that_happens(Expiry.REVOKE) for command in decide(event)]
    assert {command.task for command in commands if isinstance(command, RequestTask)} <= ABOUT_LICENSES


def test_an_event_without_a_policy_asks_for_nothing() -> None:
    license_ = License.issue("L1", valid_until=NOW + timedelta(days=1), at=NOW)
    (issued,) = license_.collect_events()
    assert isinstance(issued, Event)
    assert decide(issued) == ()


@pytest.mark.parametrize(("expiry", "ends"), [("restrict", 0), ("revoke", 1), ("maintain", 0)])
def test_the_sessions_of_a_license_end_with_it_where_its_policy_says_so(expiry: str, ends: int) -> None:
    policy = LicensePolicy(expiry=Expiry(expiry))
    license_ = License.issue("L1", valid_until=NOW - DAY, at=NOW - 300 * DAY, policy=policy)
    license_.judge_term(now=NOW)
    asked = [command for command in decided(license_) if command.task == "end_license_sessions"]
    assert [command.kwargs for command in asked] == [{"license_id": "L1", "at": (NOW - DAY).isoformat()}] * ends


def test_the_sessions_of_an_expired_license_end_when_it_comes_under_a_policy_that_says_so() -> None:
    license_ = License.issue("L1", valid_until=NOW - DAY, at=NOW - 300 * DAY)
    license_.change_policy(LicensePolicy(expiry=Expiry.REVOKE), at=NOW - 2 * DAY)
    license_.change_policy(LicensePolicy(), at=NOW - 2 * DAY)
    license_.judge_term(now=NOW)
    assert "end_license_sessions" not in [command.task for command in decided(license_)]
    license_.change_policy(LicensePolicy(expiry=Expiry.REVOKE), at=NOW)
    license_.change_policy(LicensePolicy(name="other", expiry=Expiry.REVOKE), at=NOW)
    (command,) = decided(license_)
    assert (command.task, command.kwargs["at"]) == ("end_license_sessions", NOW.isoformat())


def decided(license_: License) -> list[RequestTask]:
    events = [event for event in license_.collect_events() if isinstance(event, Event)]
    commands = [command for event in events for command in decide(event)]
    return [command for command in commands if isinstance(command, RequestTask)]


@pytest.mark.parametrize("name", ["failed", "timed_out", "lost", "rejected"])
def test_people_are_told_of_a_bad_end_of_a_critical_task_and_of_no_other(name: str) -> None:
    failure = {"task": "pay", "attempt": 4, "error_type": "ValueError", "error": "no", "worker": "w1"}
    (command,) = decide(task_event(f"task.{name}", "R1", at=NOW, data={**failure, "critical": True}))
    assert isinstance(command, RequestTask)
    assert (command.task, command.once_by) == ("send_failure_alert", "pay")
    assert (command.kwargs["run_id"], command.kwargs["ended"], command.kwargs["error_type"]) == (
        "R1",
        name,
        "ValueError",
    )
    assert decide(task_event(f"task.{name}", "R1", at=NOW, data=failure)) == ()


@pytest.mark.parametrize(
    ("reason", "queue", "alerts"),
    [
        ("maxlen", "tasks.critical", 1),
        ("maxlen", "tasks.low", 0),
        ("rejected", "tasks.critical", 0),
        ("expired", None, 0),
    ],
)
def test_people_are_told_of_what_the_broker_ended_in_the_critical_tier(
    reason: str, queue: str | None, alerts: int
) -> None:
    dead = task_event("task.dead_lettered", "R1", at=NOW, data={"task": "pay", "reason": reason, "queue": queue})
    assert len(decide(dead)) == alerts


def test_nobody_is_told_of_a_task_that_was_revoked_or_expired() -> None:
    for name in ("task.revoked", "task.expired"):
        ended = {"task": "pay", "attempt": 1, "error_type": "E", "error": "e", "critical": True}
        assert decide(task_event(name, "R1", at=NOW, data=ended)) == ()


@pytest.mark.parametrize("task", sorted(NOTICE_TASKS))
@pytest.mark.parametrize("reason", ["rejected", "maxlen"])
def test_a_dead_run_that_was_to_send_a_notice_is_told_to_the_notice(task: str, reason: str) -> None:
    dead = task_event("task.dead_lettered", "R1", at=NOW, data={"task": task, "reason": reason, "queue": "tasks.high"})
    (command,) = decide(dead)
    assert (command.task, command.kwargs, command.once_by) == ("record_failed_notice", {"run_id": "R1"}, None)


def test_a_failure_that_could_not_be_recorded_asks_for_no_other() -> None:
    dead = {"task": "record_failed_notice", "reason": "rejected", "queue": "tasks.normal"}
    assert decide(task_event("task.dead_lettered", "R1", at=NOW, data=dead)) == ()


def test_the_open_runs_of_a_story_that_is_taken_back_are_revoked() -> None:
    event = story_revocation_requested("order 7", reason="ordered twice", at=NOW)
    assert decide(event) == (RevokeStory(purpose="end_its_runs", correlation_id="order 7"),)
    assert (event.originator_id, event.originator_version) == ("story-order 7", 1)

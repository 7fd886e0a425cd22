from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.aggregate import Event, replay
from domain.license import (
    License,
    LicenseNotActive,
    LicenseNotSuspended,
    LicenseRevoked,
    LicenseState,
    TermEnded,
    TermNotLonger,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def license_for(days: float, *, began_days_ago: float = 300) -> License:
    found = License.issue(
        "L1", valid_until=NOW + days * DAY, at=NOW - began_days_ago * DAY, holder_email="a@example.org"
    )
    found.collect_events()
    return found


def told(license_: License) -> list[tuple[str, int | None]]:
    return [(event.TOPIC, getattr(event, "days_left", None)) for event in collected(license_)]


def collected(license_: License) -> list[Event]:
    return [event for event in license_.collect_events() if isinstance(event, Event)]


@pytest.mark.parametrize(
    ("days_left", "due"),
    [(31, []), (30, [30]), (20, [30]), (7, [30, 7]), (5, [30, 7]), (1, [30, 7, 1]), (0.5, [30, 7, 1])],
)
def test_notices_come_due_thirty_seven_and_one_day_before_the_end(days_left: float, due: list[int]) -> None:
    judged = license_for(days_left)
    judged.judge_term(now=NOW)
    assert told(judged) == [("license.expiring_soon", days) for days in due]


def test_each_notice_comes_due_once_however_often_the_term_is_judged() -> None:
    judged = license_for(5)
    judged.judge_term(now=NOW)
    judged.collect_events()
    judged.judge_term(now=NOW)
    assert told(judged) == []


def test_a_late_judgement_tells_everything_missed_with_its_true_time() -> None:
    judged = license_for(-3)
    judged.judge_term(now=NOW)
    events = collected(judged)
    assert [event.TOPIC for event in events] == ["license.expiring_soon"] * 3 + ["license.expired"]
    assert events[-1].timestamp == NOW - 3 * DAY
    assert events[1].timestamp == NOW - 10 * DAY


def test_a_notice_whose_day_was_past_when_the_term_began_never_comes_due() -> None:
    judged = license_for(5, began_days_ago=0)
    judged.judge_term(now=NOW)
    assert told(judged) == []


def test_a_renewal_begins_a_term_with_notices_of_its_own() -> None:
    renewed = license_for(5)
    renewed.judge_term(now=NOW)
    renewed.renew(valid_until=NOW + 100 * DAY, at=NOW)
    renewed.collect_events()
    renewed.judge_term(now=NOW + 80 * DAY)
    assert told(renewed) == [("license.expiring_soon", 30)]


def test_an_expired_license_is_active_again_after_a_renewal() -> None:
    expired = license_for(-1)
    expired.judge_term(now=NOW)
    with pytest.raises(LicenseNotActive, match="expired"):
        expired.admit_session(at=NOW)
    expired.renew(valid_until=NOW + DAY, at=NOW)
    expired.admit_session(at=NOW)


def test_no_session_starts_after_the_end_of_the_term_even_before_the_term_is_judged() -> None:
    unjudged = license_for(0)
    unjudged.admit_session(at=NOW - timedelta(microseconds=1))
    with pytest.raises(LicenseNotActive, match="expired"):
        unjudged.admit_session(at=NOW)


def test_suspension_outlasts_expiry_and_renewal() -> None:
    suspended = license_for(-1)
    suspended.suspend(reason="payment", at=NOW - 2 * DAY)
    suspended.judge_term(now=NOW)
    suspended.renew(valid_until=NOW + DAY, at=NOW)
    assert suspended.state is LicenseState.SUSPENDED
    with pytest.raises(LicenseNotActive, match="suspended"):
        suspended.admit_session(at=NOW)
    suspended.reinstate(reason="paid", at=NOW)
    suspended.admit_session(at=NOW)


def test_a_suspension_that_was_lifted_does_not_come_back_with_a_renewal() -> None:
    reinstated = license_for(-1)
    reinstated.suspend(reason="payment", at=NOW - 3 * DAY)
    reinstated.reinstate(reason="paid", at=NOW - 2 * DAY)
    reinstated.judge_term(now=NOW)
    reinstated.renew(valid_until=NOW + DAY, at=NOW)
    assert reinstated.state is LicenseState.ACTIVE


def test_a_suspended_license_admits_no_session_until_it_is_reinstated() -> None:
    suspended = license_for(100)
    suspended.suspend(reason="payment", at=NOW)
    with pytest.raises(LicenseNotActive) as refusal:
        suspended.admit_session(at=NOW)
    assert str(refusal.value) == "license-L1: the license is suspended; it has to be active for this"
    suspended.reinstate(reason="paid", at=NOW)
    suspended.admit_session(at=NOW)


def test_what_cannot_be_is_refused() -> None:
    license_ = license_for(10)
    with pytest.raises(LicenseNotSuspended):
        license_.reinstate(reason="never suspended", at=NOW)
    with pytest.raises(TermNotLonger):
        license_.renew(valid_until=NOW + DAY, at=NOW)
    with pytest.raises(TermEnded):
        License.issue("L2", valid_until=NOW, at=NOW)
    license_.revoke(reason="terms broken", at=NOW)
    with pytest.raises(LicenseRevoked):
        license_.revoke(reason="again", at=NOW)
    with pytest.raises(LicenseRevoked):
        license_.renew(valid_until=NOW + 100 * DAY, at=NOW)


def test_a_revoked_license_expires_no_more() -> None:
    revoked = license_for(-1)
    revoked.revoke(reason="terms broken", at=NOW - 5 * DAY)
    revoked.collect_events()
    revoked.judge_term(now=NOW)
    assert told(revoked) == []


def test_a_notice_is_remembered_once() -> None:
    license_ = license_for(5)
    assert license_.record_notice("n1", recipient="a@example.org", at=NOW)
    assert not license_.record_notice("n1", recipient="a@example.org", at=NOW)


def test_replayed_events_give_the_same_license() -> None:
    first = License.issue("L1", valid_until=NOW + 5 * DAY, at=NOW - 300 * DAY)
    first.judge_term(now=NOW)
    first.suspend(reason="payment", at=NOW)
    again = replay(collected(first))
    assert isinstance(again, License)
    assert again.state is LicenseState.SUSPENDED
    assert again == first

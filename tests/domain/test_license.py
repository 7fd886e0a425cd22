from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from domain.aggregate import Event, replay
from domain.license import License
from domain.license_policy import DEFAULT, Expiry, LicensePolicy, Resurrection
from domain.license_refusals import (
    EntitlementAlreadyAttached,
    EntitlementNotAttached,
    LicenseNotActive,
    LicenseNotSuspended,
    LicenseRevoked,
    LicenseUnchanged,
    TermEnded,
    TermNotLonger,
    TooManyEntitlements,
)
from domain.license_state import LicenseState

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def license_for(days: float, *, began_days_ago: float = 300, policy: LicensePolicy = DEFAULT) -> License:
    term = {"valid_until": NOW + days * DAY, "at": NOW - began_days_ago * DAY}
    found = License.issue("L1", **term, holder_email="a@example.org", policy=policy)
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


def test_a_renewal_records_first_that_the_term_had_ended_though_nobody_looked() -> None:
    overdue = license_for(-3)
    overdue.renew(valid_until=NOW + 90 * DAY, at=NOW)
    events = collected(overdue)
    assert [event.TOPIC for event in events] == ["license.expiring_soon"] * 3 + ["license.expired", "license.renewed"]
    assert (events[-1].data()["previous_state"], events[-1].data()["state"]) == ("expired", "active")


def test_a_renewal_told_late_brings_no_end_that_had_not_come_when_it_was_made() -> None:
    renewed = license_for(-3)
    renewed.renew(valid_until=NOW + 90 * DAY, at=NOW - 10 * DAY)
    renewed.judge_term(now=NOW)
    assert told(renewed) == [("license.expiring_soon", 30), ("license.expiring_soon", 7), ("license.renewed", None)]


def test_an_expired_license_under_a_policy_that_maintains_access_admits() -> None:
    maintained = license_for(-1, policy=LicensePolicy(expiry=Expiry.MAINTAIN))
    maintained.judge_term(now=NOW)
    assert maintained.state is LicenseState.EXPIRED
    maintained.admit_session(at=NOW)
    maintained.suspend(reason="payment", at=NOW)
    with pytest.raises(LicenseNotActive, match="suspended"):
        maintained.admit_session(at=NOW)
    maintained.reinstate(reason="paid", at=NOW)
    maintained.admit_session(at=NOW)
    maintained.revoke(reason="terms broken", at=NOW)
    with pytest.raises(LicenseNotActive, match="revoked"):
        maintained.admit_session(at=NOW)


def test_an_expiry_says_what_the_policy_makes_of_it() -> None:
    revoking = license_for(-1, policy=LicensePolicy(expiry=Expiry.REVOKE))
    revoking.judge_term(now=NOW)
    assert collected(revoking)[-1].data() == {
        "state": "expired",
        "previous_state": "active",
        "valid_until": "2026-05-31T12:00:00Z",
        "expiry": "revoke",
    }


def test_a_suspension_means_the_same_whether_or_not_the_expiry_before_it_was_recorded() -> None:
    judged, unjudged = license_for(-1), license_for(-1)
    judged.judge_term(now=NOW)
    for license_ in (judged, unjudged):
        license_.suspend(reason="payment", at=NOW)
        license_.judge_term(now=NOW)
        assert license_.state is LicenseState.EXPIRED
        license_.renew(valid_until=NOW + DAY, at=NOW)
        assert license_.state is LicenseState.SUSPENDED


def test_each_change_says_how_it_was_before_and_why() -> None:
    policy = LicensePolicy(name="strict", resurrection=Resurrection.NEVER)
    changed = license_for(100)
    changed.transfer(holder="apex", holder_email="b@example.org", at=NOW, reason="bought")
    changed.change_policy(policy, at=NOW, reason="fair use")
    changed.change_seats(5, at=NOW)
    changed.attach("sso", at=NOW)
    changed.attach("export", at=NOW)
    changed.detach("sso", at=NOW, reason="unpaid")
    said = [msgspec.to_builtins(event.data()) for event in collected(changed)]
    assert said[0] == {
        "holder": "apex",
        "holder_email": "b@example.org",
        "previous_holder": None,
        "previous_holder_email": "a@example.org",
        "reason": "bought",
    }
    assert (said[1]["policy"]["resurrection"], said[1]["previous_policy"]["resurrection"]) == ("never", "10_minutes")
    assert said[2] == {"seats": 5, "previous_seats": None, "reason": None}
    assert [(each["entitlements"], each["previous_entitlements"]) for each in said[3:]] == [
        (("sso",), ()),
        (("export", "sso"), ("sso",)),
        (("export",), ("export", "sso")),
    ]


def test_a_change_that_changes_nothing_is_refused() -> None:
    license_ = license_for(100)
    license_.attach("sso", at=NOW)
    with pytest.raises(LicenseUnchanged, match="number of seats is unlimited"):
        license_.change_seats(None, at=NOW)
    with pytest.raises(LicenseUnchanged):
        license_.change_policy(LicensePolicy(), at=NOW)
    with pytest.raises(LicenseUnchanged):
        license_.transfer(holder=None, holder_email="a@example.org", at=NOW)
    with pytest.raises(EntitlementAlreadyAttached):
        license_.attach("sso", at=NOW)
    with pytest.raises(EntitlementNotAttached, match="it has sso"):
        license_.detach("export", at=NOW)


def test_a_license_entitles_to_a_hundred_things_at_most() -> None:
    license_ = license_for(100)
    for number in range(100):
        license_.attach(f"e{number}", at=NOW)
    with pytest.raises(TooManyEntitlements, match="at most 100"):
        license_.attach("one more", at=NOW)


def test_nothing_about_a_revoked_license_changes_any_more() -> None:
    revoked = license_for(100)
    revoked.attach("sso", at=NOW)
    revoked.revoke(reason="terms broken", at=NOW)
    for change in (
        lambda: revoked.transfer(holder="apex", holder_email=None, at=NOW),
        lambda: revoked.change_policy(LicensePolicy(name="strict"), at=NOW),
        lambda: revoked.change_seats(5, at=NOW),
        lambda: revoked.attach("export", at=NOW),
        lambda: revoked.detach("sso", at=NOW),
    ):
        with pytest.raises(LicenseRevoked):
            change()

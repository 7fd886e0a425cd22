"""What a license says about work that names it, and which of its events says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from domain.aggregate import Event
from domain.license import License
from domain.license_policy import Expiry, LicensePolicy
from domain.ruling import Ruling, Says, standing_of

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
TERM = timedelta(days=10)
IDS = UUID("7d1f2c10-0000-4000-8000-000000000000")


class Told:
    """A license that things happen to, and its story as the log would have it."""

    def __init__(self, *, expiry: Expiry = Expiry.RESTRICT) -> None:
        self.license = License.issue("L1", valid_until=NOON + TERM, at=NOON, policy=LicensePolicy(expiry=expiry))
        self.story: list[tuple[Event, UUID]] = []

    def ruling(self, *, days: float = 1, recorded: bool = False) -> tuple[Says, str]:
        """What it says, and the name and version of the event that decided."""
        standing = standing_of(self._story())
        assert standing is not None
        ruling: Ruling = standing.recorded() if recorded else standing.ruling(NOON + timedelta(days=days))
        deciding = next(event for event, event_id in self.story if event_id == ruling.decided_by)
        return ruling.says, f"{deciding.TOPIC} {deciding.originator_version}"

    def _story(self) -> list[tuple[Event, UUID]]:
        for event in self.license.collect_events():
            assert isinstance(event, Event)
            self.story.append((event, uuid5(IDS, str(event.originator_version))))
        return self.story


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_license_that_was_never_issued_says_nothing() -> None:
    assert standing_of([]) is None


def test_an_active_license_admits_by_its_issue(told: Told) -> None:
    assert told.ruling() == (Says.ADMITTED, "license.issued 1")


def test_a_suspended_license_defers_and_a_reinstated_one_admits_by_its_reinstatement(told: Told) -> None:
    told.license.suspend(reason="unpaid", at=NOON)
    assert told.ruling() == (Says.DEFERRED, "license.suspended 2")
    told.license.reinstate(reason="paid", at=NOON)
    assert told.ruling() == (Says.ADMITTED, "license.reinstated 3")


def test_what_changes_nothing_about_work_decides_nothing(told: Told) -> None:
    told.license.record_notice("n1", recipient="a@example.org", at=NOON)
    told.license.renew(valid_until=NOON + 2 * TERM, at=NOON)
    assert told.ruling() == (Says.ADMITTED, "license.issued 1")


@pytest.mark.parametrize("before", [None, "suspend"], ids=["active", "suspended"])
def test_a_revoked_license_revokes(told: Told, before: str | None) -> None:
    if before:
        told.license.suspend(reason="unpaid", at=NOON)
    told.license.revoke(reason="terminated", at=NOON)
    assert told.ruling()[0] is Says.REVOKED
    assert told.ruling()[1].startswith("license.revoked ")
    assert told.ruling() == told.ruling(recorded=True)


@pytest.mark.parametrize(
    ("expiry", "says"),
    [(Expiry.RESTRICT, Says.REFUSED), (Expiry.REVOKE, Says.REVOKED), (Expiry.MAINTAIN, Says.ADMITTED)],
    ids=["restrict", "revoke", "maintain"],
)
def test_the_end_of_a_term_means_what_the_policy_says(expiry: Expiry, says: Says) -> None:
    told = Told(expiry=expiry)
    assert told.ruling(days=9.9)[0] is Says.ADMITTED
    told.license.judge_term(now=NOON + TERM)
    found, by = told.ruling(days=10)
    assert found is says
    assert by.startswith("license.expired")


@pytest.mark.parametrize(
    ("expiry", "says"),
    [(Expiry.RESTRICT, Says.DEFERRED), (Expiry.REVOKE, Says.DEFERRED), (Expiry.MAINTAIN, Says.ADMITTED)],
    ids=["restrict", "revoke", "maintain"],
)
def test_work_waits_while_nobody_has_recorded_what_came_of_a_term_that_is_over(expiry: Expiry, says: Says) -> None:
    """A renewal that was sent in time may still be on its way."""
    told = Told(expiry=expiry)
    assert told.ruling(days=10) == (says, "license.issued 1")
    told.license.renew(valid_until=NOON + 2 * TERM, at=NOON + TERM / 2)
    assert told.ruling(days=10) == (Says.ADMITTED, "license.issued 1")


def test_work_that_has_begun_is_ended_only_by_an_end_of_the_term_that_is_recorded() -> None:
    told = Told(expiry=Expiry.REVOKE)
    assert told.ruling(recorded=True) == (Says.ADMITTED, "license.issued 1")
    told.license.judge_term(now=NOON + TERM)
    assert told.ruling(recorded=True)[0] is Says.REVOKED


def test_a_renewal_admits_again(told: Told) -> None:
    told.license.judge_term(now=NOON + TERM)
    told.license.renew(valid_until=NOON + 3 * TERM, at=NOON + TERM)
    says, by = told.ruling(days=15)
    assert says is Says.ADMITTED
    assert by.startswith("license.renewed")


@pytest.mark.parametrize(
    ("expiry", "says"),
    [(Expiry.RESTRICT, Says.DEFERRED), (Expiry.REVOKE, Says.REVOKED), (Expiry.MAINTAIN, Says.DEFERRED)],
    ids=["restrict", "revoke", "maintain"],
)
def test_a_suspension_outlasts_the_term_unless_that_ends_the_work(expiry: Expiry, says: Says) -> None:
    told = Told(expiry=expiry)
    told.license.suspend(reason="unpaid", at=NOON)
    told.license.judge_term(now=NOON + TERM)
    assert told.ruling(days=11)[0] is says


def test_other_rules_for_an_expired_license_decide_from_then_on(told: Told) -> None:
    told.license.judge_term(now=NOON + TERM)
    told.license.change_policy(LicensePolicy(expiry=Expiry.MAINTAIN), at=NOON + TERM)
    says, by = told.ruling(days=11)
    assert says is Says.ADMITTED
    assert by.startswith("license.policy_changed")


@pytest.mark.parametrize("expiry", list(Expiry), ids=[expiry.value for expiry in Expiry])
@pytest.mark.parametrize("days", [1, 11], ids=["within the term", "after it"])
@pytest.mark.parametrize("is_suspended", [True, False], ids=["suspended", "not suspended"])
def test_work_is_admitted_when_and_only_when_sessions_are(expiry: Expiry, days: int, *, is_suspended: bool) -> None:
    told = Told(expiry=expiry)
    if is_suspended:
        told.license.suspend(reason="unpaid", at=NOON)
    admits = told.license.barred_as(at=NOON + timedelta(days=days)) is None
    assert (told.ruling(days=days)[0] is Says.ADMITTED) is admits


def test_the_words_name_the_license_and_why(told: Told) -> None:
    told.license.revoke(reason="terminated", at=NOON)
    told.ruling()
    standing = standing_of(told.story)
    assert standing is not None
    ruling = standing.recorded()
    assert (ruling.error_type, ruling.text) == ("LicenseRevoked", "license L1 has been revoked")

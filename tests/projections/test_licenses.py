from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.aggregate import Event
from domain.license import License
from domain.license_policy import Expiry, LicensePolicy, Overage, Resurrection
from domain.license_state import LicenseState
from infra.event_store import Log
from projections.licenses import LicenseRow, Licenses
from tests.projections.histories import NOON, History, at, changes, recorded
from tests.projections.world import World


def issued(days: int = 60, **terms: Any) -> License:
    return License.issue("l1", valid_until=NOON + timedelta(days=days), at=NOON, **terms)


def folded(events: list[Event]) -> LicenseRow:
    row = LicenseRow("l1")
    for each in recorded(events):
        Licenses().fold(row, each)
    return row


def test_a_license_stands_as_it_was_issued(world: World) -> None:
    world.record(
        Log.LICENSING,
        *changes(issued(seats=3, policy=LicensePolicy(patience_seconds=90.0), holder_email="a@example.org")),
    )
    world.catch_up("licenses")
    row = world.row("select * from analytics.dim_licenses")
    assert (row["state"], row["is_active"], row["seats"], row["patience_seconds"]) == ("active", True, 3, 90)
    assert (row["issued_at"], row["term_began_at"], row["has_holder_email"]) == (NOON, NOON, True)


def test_a_suspended_license_says_since_when_and_why() -> None:
    license_ = issued()
    license_.suspend(reason="late", at=at(10))
    row = folded(changes(license_))
    assert (row.state, row.state_reason, row.state_changed_at) == ("suspended", "late", at(10))


def test_a_renewal_brings_an_expired_license_back_and_begins_a_term() -> None:
    license_ = issued(days=1)
    license_.judge_term(now=NOON + timedelta(days=2))
    license_.renew(valid_until=NOON + timedelta(days=90), at=NOON + timedelta(days=3))
    row = folded(changes(license_))
    assert (row.state, row.renewals, row.term_began_at) == ("active", 1, NOON + timedelta(days=3))
    assert row.next_due_at == NOON + timedelta(days=60)


def test_a_suspended_license_that_expired_is_suspended_again_by_its_renewal() -> None:
    license_ = issued(days=1)
    license_.suspend(reason="late", at=at(10))
    license_.judge_term(now=NOON + timedelta(days=2))
    license_.renew(valid_until=NOON + timedelta(days=90), at=NOON + timedelta(days=3))
    told = changes(license_)
    row = folded(told)
    assert (row.state, row.state_reason) == ("suspended", "late")
    license_.reinstate(reason="paid", at=NOON + timedelta(days=4))
    license_.judge_term(now=NOON + timedelta(days=90))
    license_.renew(valid_until=NOON + timedelta(days=180), at=NOON + timedelta(days=91))
    assert folded([*told, *changes(license_)]).state == "active"


def test_a_revoked_license_has_nothing_due() -> None:
    license_ = issued()
    license_.revoke(reason="fraud", at=at(10))
    row = folded(changes(license_))
    assert (row.state, row.next_due_at) == ("revoked", None)


def test_notices_that_went_out_are_counted() -> None:
    license_ = issued()
    license_.record_notice("n1", recipient="a@example.org", at=at(10))
    license_.record_notice("n2", recipient="a@example.org", at=at(20))
    row = folded(changes(license_))
    assert (row.notices_sent, row.last_notice_sent_at) == (2, at(20))


@given(seed=st.integers(0, 2**32), days=st.integers(0, 120))
def test_something_is_due_exactly_when_the_domain_would_record_something(seed: int, days: int) -> None:
    streams: dict[str, list[Event]] = {}
    for event in History(seed, size=4).events[Log.LICENSING]:
        if event.originator_id.startswith("license-"):
            streams.setdefault(event.originator_id, []).append(event)
    now = NOON + timedelta(days=days)
    for events in streams.values():
        row, license_ = folded(events), _replayed(events)
        license_.judge_term(now=now)
        assert (row.next_due_at is not None and row.next_due_at <= now) == bool(changes(license_))


def _replayed(events: list[Event]) -> License:
    state: Any = None
    for event in events:
        state = event.mutate(state)
    assert isinstance(state, License)
    return state


def test_a_license_says_what_was_agreed_and_changed_since(world: World) -> None:
    license_ = issued(holder="acme", policy=LicensePolicy(expiry=Expiry.MAINTAIN, overage=Overage.TWICE))
    license_.transfer(holder="apex", holder_email=None, at=at(1))
    license_.change_seats(9, at=at(2))
    license_.change_policy(LicensePolicy(name="strict", resurrection=Resurrection.NEVER), at=at(3))
    license_.attach("sso", at=at(4))
    license_.attach("export", at=at(5))
    world.record(Log.LICENSING, *changes(license_))
    world.catch_up("licenses")
    row = world.row("select * from analytics.dim_licenses")
    agreed = ("holder", "has_holder_email", "seats", "policy", "expiry", "overage", "resurrection", "entitlements")
    assert [row[name] for name in agreed] == ["apex", False, 9, "strict", "restrict", "none", "never", "export,sso"]


@pytest.mark.parametrize("expiry", Expiry, ids=str)
def test_an_expired_license_admits_where_its_policy_maintains_access(world: World, expiry: Expiry) -> None:
    license_ = issued(days=1, policy=LicensePolicy(expiry=expiry))
    license_.judge_term(now=NOON + timedelta(days=2))
    assert license_.barred_as(at=NOON + timedelta(days=2)) is (None if expiry == "maintain" else LicenseState.EXPIRED)
    told = changes(license_)
    license_.suspend(reason="late", at=NOON + timedelta(days=3))
    world.record(Log.LICENSING, *told)
    world.catch_up("licenses")
    question = "select state, is_admitting, is_suspended, next_due_at from analytics.dim_licenses"
    row = world.row(question)
    assert row == {
        "state": "expired",
        "is_admitting": expiry == "maintain",
        "is_suspended": False,
        "next_due_at": None,
    }
    world.record(Log.LICENSING, *changes(license_))
    world.catch_up("licenses")
    assert world.row(question) == {**row, "is_admitting": False, "is_suspended": True}


@given(seed=st.integers(0, 2**32))
def test_a_row_stands_where_the_domain_does(seed: int) -> None:
    streams: dict[str, list[Event]] = {}
    for event in History(seed, size=4).events[Log.LICENSING]:
        if event.originator_id.startswith("license-"):
            streams.setdefault(event.originator_id, []).append(event)
    for events in streams.values():
        row, license_ = folded(events), _replayed(events)
        policy = {**msgspec.structs.asdict(license_.policy), "policy": license_.policy.name}
        policy.pop("name")
        assert (row.state, row.suspended_because is not None) == (license_.state, license_.is_suspended)
        assert {name: getattr(row, name) for name in policy} == policy
        assert (row.seats, row.holder, row.holder_email) == (license_.seats, license_.holder, license_.holder_email)
        assert (row.entitlements or "").split(",") == ",".join(license_.entitlements).split(",")

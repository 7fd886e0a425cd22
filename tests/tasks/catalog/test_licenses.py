"""The calendar of licenses is judged late or often, and each notice and each end is recorded once."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from domain.aggregate import replay
from domain.license import License, license_stream
from domain.license_policy import Expiry, LicensePolicy
from infra.event_store import Log
from tasks.catalog import licenses
from tasks.catalog.judging import Judgement, Outcome
from tasks.catalog.licenses import check_license_expirations, check_terms
from tasks.wiring import Wiring
from tests.tasks.catalog.fleet import CAUSE, NOON, Fleet


def issue(fleet: Fleet, name: str, *, days: float) -> None:
    """A license with so many days left at noon."""
    fleet.record(License.issue(name, valid_until=NOON + timedelta(days=days), at=NOON - timedelta(days=300)))
    fleet.project()


def checked(fleet: Fleet, *, now: datetime = NOON) -> Judgement:
    cause = msgspec.structs.replace(CAUSE, id=uuid4())
    return check_terms(fleet.store, fleet.engine, cause=cause, now=now)


def facts(fleet: Fleet, name: str) -> list[object]:
    """What the calendar brought: days left, or 0 for the end."""
    stream = fleet.store.load(Log.LICENSING, [license_stream(name)])[license_stream(name)]
    return [event.data().get("days_left", 0) for event in stream if event.name.startswith("license.exp")]


@pytest.mark.parametrize(
    ("days", "expected"), [(31, []), (30, [30]), (6.5, [30, 7]), (0.5, [30, 7, 1]), (-0.1, [30, 7, 1, 0])]
)
def test_what_has_come_due_is_recorded_however_late_it_is_asked(
    fleet: Fleet, days: float, expected: list[object]
) -> None:
    issue(fleet, "lic-2", days=days)
    checked(fleet)
    assert facts(fleet, "lic-2") == expected


def test_a_second_check_finds_nothing_more(fleet: Fleet) -> None:
    issue(fleet, "lic-2", days=5)
    assert checked(fleet).recorded == {"license.expiring_soon": 2}
    assert checked(fleet).recorded == {}
    fleet.project()
    assert checked(fleet).outcomes.total() == 0


def test_a_renewed_license_has_its_notices_anew(fleet: Fleet) -> None:
    issue(fleet, "lic-2", days=0.5)
    checked(fleet)
    license_ = replay(fleet.store.load(Log.LICENSING, ["license-lic-2"])["license-lic-2"])
    assert isinstance(license_, License)
    license_.renew(valid_until=NOON + timedelta(days=60), at=NOON)
    fleet.record(license_)
    fleet.project()
    checked(fleet, now=NOON + timedelta(days=31))
    assert facts(fleet, "lic-2") == [30, 7, 1, 30]


def test_checks_at_once_give_the_same_as_one(fleet: Fleet) -> None:
    names = [f"lic-{number:02}" for number in range(10, 40)]
    for name in names:
        fleet.record(License.issue(name, valid_until=NOON, at=NOON - timedelta(days=300)))
    fleet.project()
    start, found = threading.Barrier(3), list[Judgement]()

    def go() -> None:
        start.wait()
        found.append(checked(fleet))

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.outcomes[Outcome.CHANGED] for each in found) == len(names)
    assert all(facts(fleet, name) == [30, 7, 1, 0] for name in names)


def test_the_task_says_what_it_recorded(fleet: Fleet, wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licenses, "wiring", lambda: wired)
    issue(fleet, "lic-2", days=-1)
    result = check_license_expirations.apply(task_id=str(uuid4())).get()
    assert result.pop("duration_seconds") > 0
    assert result == {"found": 1, "expiring_soon": 3, "expired": 1, "errors": 0}


def test_a_term_is_judged_in_log_time_so_that_a_renewal_in_the_broker_is_not_overlooked(
    fleet: Fleet, wired: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(licenses, "wiring", lambda: wired)
    issue(fleet, "lic-2", days=0)
    fleet.pass_time(minutes=-1)
    assert check_license_expirations.apply(task_id=str(uuid4())).get()["expired"] == 0
    fleet.pass_time(minutes=1)
    assert check_license_expirations.apply(task_id=str(uuid4())).get()["expired"] == 1


def test_nobody_judges_the_future_even_where_log_time_is_ahead_of_the_clock(fleet: Fleet) -> None:
    fleet.pass_time(minutes=5)
    assert licenses.judged_until(fleet.engine, clock=NOON) == NOON


@pytest.mark.parametrize("expiry", Expiry, ids=str)
def test_an_expired_license_is_found_once_whatever_its_policy(fleet: Fleet, expiry: Expiry) -> None:
    policy = LicensePolicy(expiry=expiry)
    fleet.record(License.issue("lic-2", valid_until=NOON, at=NOON - timedelta(days=300), policy=policy))
    fleet.project()
    assert checked(fleet).recorded == {"license.expiring_soon": 3, "license.expired": 1}
    fleet.project()
    assert checked(fleet, now=NOON + timedelta(days=400)).outcomes.total() == 0


def test_what_a_renewal_recorded_before_the_check_came_is_not_recorded_again(fleet: Fleet) -> None:
    issue(fleet, "lic-2", days=-3)
    license_ = replay(fleet.store.load(Log.LICENSING, ["license-lic-2"])["license-lic-2"])
    assert isinstance(license_, License)
    license_.renew(valid_until=NOON + timedelta(days=10), at=NOON)
    fleet.record(license_)
    assert checked(fleet).recorded == {}
    assert facts(fleet, "lic-2") == [30, 7, 1, 0]
    fleet.project()
    checked(fleet, now=NOON + timedelta(days=20))
    assert facts(fleet, "lic-2") == [30, 7, 1, 0, 7, 1, 0]

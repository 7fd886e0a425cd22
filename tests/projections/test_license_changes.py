from __future__ import annotations

from datetime import timedelta
from typing import Any

from domain.license import License
from domain.license_policy import Expiry, LicensePolicy
from infra.event_store import Log
from projections.catalog import PROJECTIONS
from projections.rebuild import rebuild
from projections.tables import LICENSE_CHANGES
from tests.projections.histories import NOON, at, changes
from tests.projections.world import World

DAY = timedelta(days=1)


def issued(**agreed: Any) -> License:
    return License.issue("l1", valid_until=NOON + 60 * DAY, at=NOON, **agreed)


def told(world: World, *, change: str = "%") -> list[tuple[Any, ...]]:
    rows = world.rows(
        "select change, field, before, after from analytics.fct_license_changes where change like %(change)s"
        " order by version, field",
        change=change,
    )
    return [tuple(row.values()) for row in rows]


def test_an_issue_says_everything_that_was_agreed(world: World) -> None:
    world.record(Log.LICENSING, *changes(issued(seats=3, holder="acme", holder_email="a@example.org")))
    world.catch_up("license_changes")
    assert {(field, after) for _, field, before, after in told(world) if before is None} == {
        ("state", "active"),
        ("is_suspended", "false"),
        ("valid_until", "2026-04-30T12:00:00Z"),
        ("seats", "3"),
        ("holder", "acme"),
        ("holder_email", "an address"),
        ("policy.name", "default"),
        ("policy.heartbeat_interval_seconds", "60"),
        ("policy.monitoring_starts", "creation"),
        ("policy.on_lapse", "end"),
        ("policy.resurrection", "10_minutes"),
        ("policy.expiry", "restrict"),
        ("policy.overage", "none"),
    }


def test_each_change_has_its_value_before_and_after_and_only_what_changed(world: World) -> None:
    license_ = issued(seats=3, holder="acme")
    license_.change_seats(5, at=at(1))
    license_.change_seats(None, at=at(2))
    license_.change_policy(LicensePolicy(expiry=Expiry.MAINTAIN, patience_seconds=90), at=at(3))
    license_.transfer(holder="apex", holder_email=None, at=at(4))
    license_.attach("sso", at=at(5))
    license_.detach("sso", at=at(6))
    license_.suspend(reason="late", at=at(7))
    license_.judge_term(now=NOON + 61 * DAY)
    license_.renew(valid_until=NOON + 90 * DAY, at=NOON + 62 * DAY)
    license_.reinstate(reason="paid", at=NOON + 63 * DAY)
    license_.revoke(reason="fraud", at=NOON + 64 * DAY)
    world.record(Log.LICENSING, *changes(license_))
    world.catch_up("license_changes")
    assert [row for row in told(world) if row[0] != "license.issued"] == [
        ("license.seats_changed", "seats", "3", "5"),
        ("license.seats_changed", "seats", "5", None),
        ("license.policy_changed", "policy.expiry", "restrict", "maintain"),
        ("license.policy_changed", "policy.patience_seconds", None, "90"),
        ("license.transferred", "holder", "acme", "apex"),
        ("license.entitlement_attached", "entitlement", None, "sso"),
        ("license.entitlement_detached", "entitlement", "sso", None),
        ("license.suspended", "is_suspended", "false", "true"),
        ("license.suspended", "state", "active", "suspended"),
        ("license.expired", "state", "suspended", "expired"),
        ("license.renewed", "state", "expired", "suspended"),
        ("license.renewed", "valid_until", "2026-04-30T12:00:00Z", "2026-05-30T12:00:00Z"),
        ("license.reinstated", "is_suspended", "true", "false"),
        ("license.reinstated", "state", "suspended", "active"),
        ("license.revoked", "state", "active", "revoked"),
    ]


def test_a_change_names_who_and_why_and_the_fact(world: World) -> None:
    license_ = issued()
    license_.change_seats(5, at=at(1), reason="order 4711")
    world.record(Log.LICENSING, *changes(license_), actor="clerk@example.org")
    world.catch_up("license_changes")
    row = world.row("""
        select c.actor, c.reason, c.changed_at, c.recorded_at = e.recorded_at as is_recorded, e.name
        from analytics.fct_license_changes c join event_store.licensing_events e on e.event_id::text = c.event_id
        where c.field = 'seats'
    """)
    assert row == {
        "actor": "clerk@example.org",
        "reason": "order 4711",
        "changed_at": at(1),
        "is_recorded": True,
        "name": "license.seats_changed",
    }


def test_what_was_before_is_found_across_batches_and_after_a_rebuild(world: World) -> None:
    license_ = issued(seats=1)
    for seats in range(2, 12):
        license_.change_seats(seats, at=at(seats))
    world.record(Log.LICENSING, *changes(license_))
    runner = world.runner("license_changes", batch_events=3)
    while runner.step(world.connection):
        pass
    found = told(world, change="license.seats_changed")
    assert [(before, after) for _, _, before, after in found] == [(str(n), str(n + 1)) for n in range(1, 11)]
    kept = world.dump([LICENSE_CHANGES])
    rebuild(world.connection, PROJECTIONS["license_changes"], store=world.store, batch_events=1000)
    assert world.dump([LICENSE_CHANGES]) == kept

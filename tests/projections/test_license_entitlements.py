from __future__ import annotations

from datetime import timedelta

from domain.license import License
from infra.event_store import Log
from tests.projections.histories import NOON, at, changes
from tests.projections.world import World


def test_a_license_has_what_was_attached_and_not_detached_since(world: World) -> None:
    license_ = License.issue("l1", valid_until=NOON + timedelta(days=60), at=NOON)
    license_.attach("sso", at=at(1), reason="order 1")
    license_.attach("export", at=at(2))
    license_.detach("sso", at=at(3), reason="not paid for")
    world.record(Log.LICENSING, *changes(license_), actor="clerk")
    world.catch_up()
    rows = world.rows("select * from analytics.fct_license_entitlements order by entitlement")
    assert [(row["entitlement"], row["is_attached"], row["attached_at"], row["detached_at"]) for row in rows] == [
        ("export", True, at(2), None),
        ("sso", False, at(1), at(3)),
    ]
    assert (rows[1]["attach_reason"], rows[1]["detach_reason"], rows[1]["detached_by"]) == (
        "order 1",
        "not paid for",
        "clerk",
    )
    assert world.row("select entitlements from analytics.dim_licenses") == {"entitlements": "export"}


def test_an_entitlement_that_is_attached_again_was_detached_no_more(world: World) -> None:
    license_ = License.issue("l1", valid_until=NOON + timedelta(days=60), at=NOON)
    for second in (1, 3):
        license_.attach("sso", at=at(second))
        license_.detach("sso", at=at(second + 1), reason="not paid for")
    license_.attach("sso", at=at(5))
    world.record(Log.LICENSING, *changes(license_))
    world.catch_up("license_entitlements")
    (row,) = world.rows("select * from analytics.fct_license_entitlements")
    assert (row["is_attached"], row["attached_at"], row["detached_at"], row["detach_reason"]) == (
        True,
        at(5),
        None,
        None,
    )

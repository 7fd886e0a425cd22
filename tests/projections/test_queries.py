from __future__ import annotations

from datetime import timedelta

from domain.license import License
from infra.event_store import Log
from projections.queries import licenses_to_judge
from tests.projections.histories import NOON, changes
from tests.projections.world import World


def test_licenses_with_something_due_are_suggested_until_it_is_recorded(world: World) -> None:
    soon, later = (License.issue(f"l{days}", valid_until=NOON + timedelta(days=days), at=NOON) for days in (10, 60))
    world.record(Log.LICENSING, *changes(soon), *changes(later))
    world.catch_up("licenses")
    now = NOON + timedelta(days=4)
    assert licenses_to_judge(world.psycopg, now=now, limit=10) == ["l10"]
    soon.judge_term(now=now)
    world.record(Log.LICENSING, *changes(soon))
    world.catch_up("licenses")
    assert licenses_to_judge(world.psycopg, now=now, limit=10) == []
    assert licenses_to_judge(world.psycopg, now=NOON + timedelta(days=31), limit=10) == ["l10", "l60"]
    assert licenses_to_judge(world.psycopg, now=NOON + timedelta(days=31), horizon_days=7, limit=10) == ["l10"]

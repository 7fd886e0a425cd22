"""What is known of a database that answers some questions and others not."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from infra.health.component import Status
from infra.health.database import DatabaseSight
from infra.health.processes import SINGLE
from infra.settings import Settings


@pytest.mark.parametrize(
    ("table", "unknown"),
    [
        ("runtime.processes", {"celery", *SINGLE}),
        ("event_store.heartbeat_events", {"projections"}),
    ],
)
def test_a_table_that_is_locked_hides_what_is_known_by_it_and_nothing_else(
    platform: Settings, table: str, unknown: set[str]
) -> None:
    patient = platform.model_copy(update={"monitor_patience_seconds": 2.0})
    with (
        psycopg.connect(platform.database_url.get_secret_value()) as holder,
        closing(DatabaseSight(patient)) as sight,
    ):
        holder.execute(f"lock table {table}".encode())
        held = sight.look()
        holder.rollback()
        free = sight.look()

    assert held["database"].status is free["database"].status is Status.HEALTHY
    assert {name for name, each in held.items() if "not known" in (each.detail or "")} == unknown
    assert {held[name].status for name in unknown} == {Status.UNHEALTHY}
    assert not any("not known" in (each.detail or "") for each in free.values())
    assert held.keys() == free.keys() == set(DatabaseSight.names)

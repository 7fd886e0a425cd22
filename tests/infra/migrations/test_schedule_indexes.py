"""The scheduler's indexes on a log that is in use, and after an upgrade that was interrupted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from infra import database
from infra.database import migrate
from infra.settings import Settings
from tests.infra.databases import fresh_database
from tests.waiting import eventually

APPEND = """
    insert into event_store.licensing_events (stream_id, version, name, data, event_id, occurred_at)
    values (%s, 1, 'license.issued', '{}', gen_random_uuid(), now())
"""
WAITS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and query ilike '%create index%licensing_schedules%' and wait_event_type = 'Lock'
"""
INDEXES = """
    select indexrelid::regclass::text, indisvalid, indpred is not null from pg_index
    where indexrelid::regclass::text in ('event_store.licensing_schedules', 'event_store.licensing_slots') order by 1
"""


@pytest.fixture
def older(servers: Settings) -> Iterator[Settings]:
    """Settings of a database in which an index was left behind by an interrupted upgrade."""
    with fresh_database(servers) as settings:
        migrate(settings, to="0045")
        with database.connect(settings, name="test") as connection:
            connection.execute("create index licensing_slots on event_store.licensing_events (name)")
        yield settings


def test_appends_go_on_while_the_indexes_are_made(older: Settings) -> None:
    url = older.database_url.get_secret_value()
    with psycopg.connect(url) as slow, psycopg.connect(url, autocommit=True) as other:
        slow.execute(APPEND, ("license-slow",))
        upgrade = threading.Thread(target=migrate, args=(older,), kwargs={"to": "0046"})
        upgrade.start()
        try:
            eventually(lambda: other.execute(WAITS).fetchone() == (1,))
            other.execute("set lock_timeout = '2s'")
            other.execute(APPEND, ("license-other",))
        finally:
            slow.commit()
            upgrade.join()
        assert other.execute(INDEXES).fetchall() == [
            ("event_store.licensing_schedules", True, True),
            ("event_store.licensing_slots", True, True),
        ]

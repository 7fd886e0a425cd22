"""Locks of others do not hold a log's readers back, and no look at a log takes long."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from infra import database
from infra.database import Leadership
from infra.event_store import EventStore, Log
from infra.event_store.log_table import LogTable
from infra.settings import Settings
from tests.infra.databases import fresh_database
from tests.infra.event_store.facts import Follower, fact, facts

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def twins(servers: Settings) -> Iterator[tuple[Settings, Settings]]:
    """Two databases in which everything has the same oid: one was copied from the other."""
    with fresh_database(servers) as first, fresh_database(servers) as second:
        database.migrate(first, to="0016")
        copy, original = (
            sql.Identifier(psycopg.conninfo.conninfo_to_dict(each.database_url.get_secret_value())["dbname"] or "")
            for each in (second, first)
        )
        with database.connect(servers, name="test") as administrator:
            administrator.execute(sql.SQL("drop database {}").format(copy))
            administrator.execute(sql.SQL("create database {} template {}").format(copy, original))
        yield first, second


def oid(connection: Connection) -> object:
    (found,) = connection.execute("select 'event_store.task_events'::regclass::oid::bigint").fetchone() or (None,)
    return found


def test_databases_do_not_wait_for_each_other_even_where_their_tables_have_the_same_oid(
    twins: tuple[Settings, Settings],
) -> None:
    first, second = (EventStore(settings.database_url.get_secret_value(), name="test twin") for settings in twins)
    with first, second, first.transaction() as here, second.transaction() as there:
        assert oid(here.connection) == oid(there.connection)
        here.append(Log.TASKS, [fact("held")])
        second.append(Log.TASKS, [fact("free")])
        assert Follower(second, Log.TASKS).catch_up() == ["free"]


@pytest.mark.parametrize(
    "lock",
    [
        "pg_advisory_lock(1, 1)",
        "pg_advisory_lock(0)",
        "pg_advisory_lock(('event_store.task_events'::regclass::oid::bigint << 32))",
        # Where a writer stands that announced after the reader had looked at the sequence: it writes above.
        "pg_advisory_lock_shared('event_store.task_events'::regclass::oid::int, 10)",
    ],
)
def test_locks_that_are_no_floor_below_hold_nobody_back(store: EventStore, connection: Connection, lock: str) -> None:
    (position,) = store.append(Log.TASKS, [fact("s")])
    connection.execute(f"select {lock}".encode())
    assert store.safe_position(Log.TASKS) == position


def test_a_leader_holds_nobody_back(store: EventStore, settings: Settings) -> None:
    with Leadership(settings, "test") as leadership:
        assert leadership.acquire()
        (position,) = store.append(Log.TASKS, [fact("s")])
        assert store.safe_position(Log.TASKS) == position


def test_a_look_for_names_ends_after_a_stretch_whatever_it_has_found(
    store: EventStore, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.event_store.log_table.SCANNED_POSITIONS", 10)
    *_, last = store.append(Log.TASKS, facts("s", range(1, 41)))
    table = LogTable(Log.TASKS.table)

    found, looked_to = table.page_of_names(connection, after=0, upto=last, limit=2, names=["task.rare"])

    assert (found, looked_to) == ([], 10)


def test_a_page_never_leads_back(store: EventStore) -> None:
    """Not even a follower that is ahead of the log, as after a restored backup: that is for its operator to see."""
    (position,) = store.append(Log.TASKS, [fact("s")])
    for names in ((), ("task.rare",)):
        assert store.read(Log.TASKS, after=position + 50, limit=10, names=names) == ([], position + 50, [])


def test_whole_batches_of_thousands_are_one_append(store: EventStore) -> None:
    new = facts("s", range(1, 5001))

    positions = store.append(Log.TASKS, new)

    assert positions == sorted(positions)
    assert len(set(positions)) == 5000
    assert [verdict.outcome for verdict in store.append_each(Log.TASKS, new)] == ["repeat"] * 5000


def test_data_is_an_object_that_sql_can_look_into(store: EventStore, connection: Connection) -> None:
    store.append(Log.TASKS, [fact("s")._replace(metadata={"correlation_id": "c", "actor": "größer"})])
    found = connection.execute(
        "select jsonb_typeof(data), metadata ->> 'actor' from event_store.task_events "
        "where metadata ->> 'correlation_id' = 'c'"
    ).fetchone()
    assert found == ("object", "größer")

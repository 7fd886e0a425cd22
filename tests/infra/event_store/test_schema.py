"""The schema as analysts and operators meet it."""

from __future__ import annotations

from typing import LiteralString

import psycopg
import pytest
from psycopg import errors, sql

from infra.event_store import EventStore, Log
from tests.infra.event_store.facts import facts

Connection = psycopg.Connection[tuple[object, ...]]


def test_every_table_column_and_function_of_the_event_store_is_explained(connection: Connection) -> None:
    unexplained = connection.execute("""
        select c.relname || coalesce('.' || a.attname, '')
        from pg_class c
        left join lateral (
            select attnum, attname from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
            union all select 0, null
        ) a on true
        where c.relnamespace = 'event_store'::regnamespace and c.relkind in ('r', 'p', 'v')
            and c.relname <> 'schema_version' -- alembic's
            and col_description(c.oid, a.attnum) is null
            and (a.attnum > 0 or obj_description(c.oid, 'pg_class') is null)
        union all
        select p.proname from pg_proc p
        where p.pronamespace = 'event_store'::regnamespace and obj_description(p.oid, 'pg_proc') is null
    """).fetchall()

    assert unexplained == []


def about(log: Log, statement: LiteralString) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier("event_store", log.table))


@pytest.mark.parametrize("log", Log)
@pytest.mark.parametrize(
    "change",
    [
        "update {0} set name = 'x'",
        "delete from {0}",
        "truncate {0}",
        """
            insert into {0} (stream_id, version, name, data, event_id, occurred_at)
            select stream_id, version, name, data, event_id, occurred_at from {0}
            on conflict (stream_id, version) do update set name = 'x'
        """,
    ],
)
def test_what_is_stored_cannot_be_changed(
    store: EventStore, connection: Connection, log: Log, change: LiteralString
) -> None:
    store.append(log, facts("s", [1, 2]))

    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        connection.execute(about(log, change))

    assert len(store.load(log, ["s"])["s"]) == 2


@pytest.mark.parametrize("log", Log)
def test_maintenance_may_remove_within_the_transaction_that_says_so(
    store: EventStore, connection: Connection, log: Log
) -> None:
    store.append(log, facts("s", [1]))

    with connection.transaction():
        connection.execute("set local ledgerq.maintenance = 'on'")
        connection.execute(about(log, "delete from {0}"))

    assert store.load(log, ["s"]) == {}
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute(about(log, "delete from {0}"))

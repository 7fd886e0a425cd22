"""Upgrading a database that has heartbeats from before there were months, while it is in use."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import psycopg

from domain.heartbeat import Heartbeat
from infra import database
from infra.database import migrate
from infra.event_store import EventStore, Log
from infra.events.seal import GENESIS
from infra.events.sealing import seal_all
from infra.events.seals import SealTable
from infra.events.verifying import verify
from infra.settings import Settings
from tasks.ingest.heartbeats import packed

OLD = "0027"
NAMESPACE = UUID("0192d7a5-7c11-7d52-8a02-000000000000")
FIND = (
    "select tableoid::regclass::text as part, position, stream_id from event_store.heartbeat_events order by position"
)
APPEND = """
    select outcomes, positions from event_store.heartbeat_events_append(
        array['heartbeats-' || %(id)s, 'watermark-' || %(id)s], array[1, 1],
        array['session.heartbeats_received', 'ingest.watermark_passed'],
        array['{"session_ids": ["s"], "offsets_ms": [0]}', '{}'], array['{"correlation_id": "c"}', '{}'],
        array[%(id)s, %(id)s]::uuid[], array[now(), now()], false)
"""
SEEN = "select log, event_name, event_count from analytics.fct_events_by_name order by 1, 2"

Connection = psycopg.Connection[tuple[Any, ...]]


def old_release_appends(connection: Connection, number: int) -> tuple[Any, ...]:
    """A batch and a marker as releases before named them: by what is in them, anywhere in the order of names."""
    (told,) = connection.execute(APPEND, {"id": str(uuid5(NAMESPACE, str(number)))}).fetchall()
    return told


def test_what_was_there_becomes_a_part_and_is_what_it_was(untouched: Settings) -> None:
    migrate(untouched, to=OLD)
    with database.connect(untouched, name="test") as connection:
        for number in range(1, 16):
            assert old_release_appends(connection, number) == (None, [2 * number - 1, 2 * number])
        connection.execute("create role reader_of_months")
        connection.execute("grant select on event_store.heartbeat_events to reader_of_months")
        try:
            seals = SealTable(connection)
            heads = [each.hash for each in seal_all(seals, Log.HEARTBEATS, now=datetime.now(UTC), key=None)]
            before = connection.execute(FIND).fetchall()
            seen = connection.execute(SEEN).fetchall()

            migrate(untouched)

            after = connection.execute(FIND).fetchall()
            assert [row[1:] for row in after] == [row[1:] for row in before]
            assert {row[0] for row in after} == {"event_store.heartbeat_events_before"}
            assert connection.execute(SEEN).fetchall() == seen
            found = verify(seals, Log.HEARTBEATS)
            assert (found.findings, found.events, GENESIS in heads) == ([], 30, False)
            assert old_release_appends(connection, 7) == (["repeat", "repeat"], [13, 14])
            outcomes, (first, second) = old_release_appends(connection, 16)
            assert (outcomes, first > 30, second) == (None, True, first + 1)  # a repeat takes numbers, too
            connection.execute("set role reader_of_months")
            connection.execute("reset role")
            assert connection.execute(
                "select has_table_privilege('reader_of_months', 'event_store.heartbeat_events', 'select')"
            ).fetchone() == (True,)
        finally:
            connection.execute("drop owned by reader_of_months")
            connection.execute("drop role reader_of_months")

    with EventStore(untouched.database_url.get_secret_value()) as store:
        now = datetime.now(UTC)
        (position,) = store.append(Log.HEARTBEATS, packed([Heartbeat("s", now)]))
        page = store.read(Log.HEARTBEATS, after=0, limit=100)
        assert (len(page.events), page.position, page.unreadable) == (33, position, [])
        assert store.append(Log.HEARTBEATS, packed([Heartbeat("s", now)])) == [position]
    with database.connect(untouched, name="test") as connection:
        part = connection.execute(FIND).fetchall()[-1][0]
        assert part == f"event_store.heartbeat_events_{now:%Y_%m}"


def test_an_empty_log_is_upgraded_too(untouched: Settings) -> None:
    migrate(untouched, to=OLD)
    migrate(untouched)
    with EventStore(untouched.database_url.get_secret_value()) as store:
        assert store.append(Log.HEARTBEATS, packed([Heartbeat("s", datetime.now(UTC))])) == [1]


def test_appends_go_on_while_the_log_is_upgraded_and_none_is_lost(untouched: Settings) -> None:
    migrate(untouched, to=OLD)
    over = threading.Event()
    positions: list[int] = []

    def keep_appending() -> None:
        with database.connect(untouched, name="writer") as connection:
            number = 0
            while not over.is_set() or number < 20:
                number += 1
                outcomes, found = old_release_appends(connection, number)
                assert outcomes is None
                positions.extend(found)

    writer = threading.Thread(target=keep_appending)
    writer.start()
    try:
        migrate(untouched)
    finally:
        over.set()
        writer.join()
    with database.connect(untouched, name="test") as connection:
        assert [position for _, position, _ in connection.execute(FIND).fetchall()] == sorted(positions)
    assert len(positions) == len(set(positions)) >= 40


def test_the_part_of_it_that_takes_long_may_be_interrupted_and_done_again(untouched: Settings) -> None:
    migrate(untouched, to=OLD)
    with database.connect(untouched, name="test") as connection:
        old_release_appends(connection, 1)
        connection.execute(
            "alter table event_store.heartbeat_events add constraint heartbeat_events_bounds check (true) not valid"
        )
        connection.execute("create index heartbeat_events_before_position on event_store.heartbeat_events (position)")
    migrate(untouched, to="0028")
    with database.connect(untouched, name="test") as connection:
        connection.execute("update event_store.schema_version set version_num = %s", (OLD,))
    migrate(untouched)
    with database.connect(untouched, name="test") as connection:
        assert len(connection.execute(FIND).fetchall()) == 2


def test_nothing_is_copied_and_no_index_made_anew_while_the_log_is_locked(untouched: Settings) -> None:
    files = """
        select array(select relfilenode from pg_class where oid = %(table)s::regclass
            union all select relfilenode from pg_class join pg_index on indexrelid = pg_class.oid
                where indrelid = %(table)s::regclass order by 1)
    """
    migrate(untouched, to="0028")
    with database.connect(untouched, name="test") as connection:
        ((before,),) = connection.execute(files, {"table": "event_store.heartbeat_events"}).fetchall()
        migrate(untouched, to="0029")
        ((after,),) = connection.execute(files, {"table": "event_store.heartbeat_events_before"}).fetchall()
    assert set(after) < set(before)
    assert len(before) - len(after) == 2  # of the old primary key, and of the positions that were unique

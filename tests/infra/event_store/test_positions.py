"""Readers stop before what is not settled yet, whatever becomes of it, and afterwards have missed nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psycopg
import pytest
from psycopg import sql

from infra import database
from infra.event_store import EventStore, Log, LostRaceError
from infra.settings import Settings
from tests.infra.event_store.facts import Follower, fact
from tests.waiting import eventually

Connection = psycopg.Connection[tuple[object, ...]]

HOLD = """
import sys
from infra.event_store import EventStore, Log
from tests.infra.event_store.facts import fact
with EventStore(sys.argv[1], name="test holder") as store, store.transaction() as transaction:
    transaction.append(Log.TASKS, [fact("held")])
    print("held", flush=True)
    sys.stdin.read()
"""


class GivenUpError(Exception):
    """The writer has thought better of it."""


def test_what_comes_after_an_open_transaction_is_delivered_when_it_commits(store: EventStore) -> None:
    follower = Follower(store, Log.TASKS)
    store.append(Log.TASKS, [fact("before")])
    with store.transaction() as transaction:
        transaction.append(Log.TASKS, [fact("held")])
        store.append(Log.TASKS, [fact("after")])
        assert follower.catch_up() == ["before"]

    assert follower.catch_up() == ["before", "held", "after"]


def test_what_comes_after_an_open_transaction_is_delivered_when_it_is_rolled_back(store: EventStore) -> None:
    follower = Follower(store, Log.TASKS)
    store.append(Log.TASKS, [fact("before")])
    with suppress(GivenUpError), store.transaction() as transaction:
        transaction.append(Log.TASKS, [fact("held")])
        store.append(Log.TASKS, [fact("after")])
        assert follower.catch_up() == ["before"]
        raise GivenUpError

    assert follower.catch_up() == ["before", "after"]


def test_the_lowest_of_several_open_transactions_counts(store: EventStore) -> None:
    follower = Follower(store, Log.TASKS)
    with store.transaction() as first:
        first.append(Log.TASKS, [fact("first")])
        with store.transaction() as second:
            second.append(Log.TASKS, [fact("second")])
        assert follower.catch_up() == []

    assert follower.catch_up() == ["first", "second"]


def test_a_transaction_keeps_its_first_floor_through_all_its_appends(store: EventStore) -> None:
    follower = Follower(store, Log.TASKS)
    with store.transaction() as transaction:
        for number in range(3):
            transaction.append(Log.TASKS, [fact(f"held {number}")])
            store.append(Log.TASKS, [fact(f"meanwhile {number}")])
            assert follower.catch_up() == []

    assert len(follower.catch_up()) == 6


@pytest.mark.parametrize("first", ["nothing", "an append"])
def test_a_floor_outlasts_a_savepoint_that_is_rolled_back(store: EventStore, first: str) -> None:
    follower = Follower(store, Log.TASKS)
    store.append(Log.TASKS, [fact("taken")])
    with store.transaction() as transaction:
        if first == "an append":
            transaction.append(Log.TASKS, [fact("first")])
        with pytest.raises(LostRaceError):
            transaction.append(Log.TASKS, [fact("undone"), fact("taken")])
        transaction.append(Log.TASKS, [fact("held")])
        store.append(Log.TASKS, [fact("after")])
        assert follower.catch_up() == ["taken"]

    expected = ["taken", "held", "after"] if first == "nothing" else ["taken", "first", "held", "after"]
    assert follower.catch_up() == expected


def test_logs_do_not_wait_for_each_other(store: EventStore) -> None:
    follower = Follower(store, Log.LICENSING)
    with store.transaction() as transaction:
        transaction.append(Log.TASKS, [fact("held")])
        store.append(Log.LICENSING, [fact("free")])
        assert follower.catch_up() == ["free"]


@pytest.mark.parametrize("statement", ["insert", "copy"])
def test_whoever_writes_announces_it(store: EventStore, connection: Connection, statement: str) -> None:
    follower = Follower(store, Log.TASKS)
    columns = "(stream_id, version, name, data, event_id, occurred_at)"
    with connection.transaction():
        if statement == "insert":
            connection.execute(
                f"insert into event_store.task_events {columns} "  # noqa: S608  a constant
                "values ('held', 1, 'ingest.watermark_passed', '{}', gen_random_uuid(), now())".encode()
            )
        else:
            with connection.cursor().copy(f"copy event_store.task_events {columns} from stdin".encode()) as copy:
                copy.write_row(("held", 1, "ingest.watermark_passed", "{}", fact("held").event_id, "2026-03-01Z"))
        store.append(Log.TASKS, [fact("after")])
        assert follower.catch_up() == []

    assert follower.catch_up() == ["held", "after"]


def test_a_transaction_of_very_many_appends_needs_no_more_locks_than_one(store: EventStore) -> None:
    with store.transaction() as transaction:
        for number in range(500):
            transaction.append(Log.TASKS, [fact(f"s{number}")])
        held = transaction.connection.execute(
            "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'"
        ).fetchone()

    assert held == (1,)


def test_readers_go_by_positions_that_have_a_row(store: EventStore, connection: Connection) -> None:
    (last,) = store.append(Log.TASKS, [fact("s")])
    connection.execute("select nextval('event_store.task_events_position_seq')")  # as a rollback leaves it

    assert store.safe_position(Log.TASKS) == last
    assert store.read(Log.TASKS, after=0, limit=10).position == last


def test_positions_of_a_log_that_is_older_than_32_bits_are_as_safe(store: EventStore, connection: Connection) -> None:
    for turn in (2**31, 2**32, 2**33):
        connection.execute("select setval('event_store.task_events_position_seq', %s)", (turn - 2,))
        follower = Follower(store, Log.TASKS)
        follower.position = turn - 2
        with store.transaction() as transaction:
            transaction.append(Log.TASKS, [fact(f"held {turn}")])
            for number in range(3):
                store.append(Log.TASKS, [fact(f"after {turn} {number}")])
            assert follower.catch_up() == []
        assert len(follower.catch_up()) == 4


def test_a_writer_that_is_killed_holds_nobody_back(store: EventStore, settings: Settings) -> None:
    follower = Follower(store, Log.TASKS)
    url = settings.database_url.get_secret_value()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        store.append(Log.TASKS, [fact("after")])
        assert follower.catch_up() == []

        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

        assert eventually(follower.catch_up, seconds=5) == ["after"]


def test_readers_ask_in_a_mode_in_which_later_statements_see_more(settings: Settings) -> None:
    with database.connect(settings, name="operator") as operator:
        this = sql.Identifier(operator.info.dbname)
        operator.execute(sql.SQL("alter database {} set default_transaction_isolation = 'serializable'").format(this))
        try:
            with EventStore(settings.database_url.get_secret_value()) as store, store.transaction() as transaction:
                asked = transaction.connection.execute("show transaction_isolation").fetchone()
        finally:
            operator.execute(sql.SQL("alter database {} reset default_transaction_isolation").format(this))

    assert asked == ("read committed",)

"""What the store says and does where the database does not play along."""

from __future__ import annotations

import select
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tests.infra.databases import end_sessions
from tests.infra.event_store.facts import fact

Connection = psycopg.Connection[tuple[object, ...]]


def versions(store: EventStore, stream: str) -> list[int]:
    return [event.originator_version for event in store.load(Log.TASKS, [stream]).get(stream, [])]


def test_where_nobody_listens_one_is_told_so_and_why(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    nowhere = psycopg.conninfo.make_conninfo(url, host="127.0.0.1", port=1)  # nothing listens on port 1
    with EventStore(nowhere) as store, pytest.raises(DatabaseUnreachableError, match="refused"):
        store.append(Log.TASKS, [fact("s")])


def test_connections_that_were_cut_are_replaced(store: EventStore, settings: Settings) -> None:
    with store.transaction(), store.transaction():
        pass
    assert end_sessions(settings, like="ledgerq test store") == 2

    store.append(Log.TASKS, [fact("s")])

    assert versions(store, "s") == [1]


def test_a_transaction_that_is_cut_short_keeps_nothing_and_is_a_fault_of_the_database(
    store: EventStore, settings: Settings
) -> None:
    def interrupted() -> None:
        with store.transaction() as transaction:
            transaction.append(Log.TASKS, [fact("s", 1)])
            end_sessions(settings, like="ledgerq test store")
            transaction.append(Log.TASKS, [fact("s", 2)])

    with pytest.raises(DatabaseUnreachableError):
        interrupted()

    assert versions(store, "s") == []
    store.append(Log.TASKS, [fact("s", 1)])
    assert versions(store, "s") == [1]


def test_a_transaction_that_was_left_idle_too_long_is_a_fault_of_the_database(store: EventStore) -> None:
    def idle() -> None:
        with store.transaction() as transaction:
            transaction.append(Log.TASKS, [fact("s")])
            transaction.connection.execute("set local idle_in_transaction_session_timeout = '20ms'")
            wait_until_cut(transaction.connection)

    with pytest.raises(DatabaseUnreachableError):
        idle()

    assert versions(store, "s") == []


def test_a_server_that_takes_no_writes_is_a_fault_of_the_database(store: EventStore) -> None:
    def write_to_standby() -> None:
        with store.transaction() as transaction:
            transaction.connection.execute("set transaction read only")  # as every transaction of a standby is
            transaction.append(Log.TASKS, [fact("s")])

    with pytest.raises(DatabaseUnreachableError, match="read-only"):
        write_to_standby()

    assert versions(store, "s") == []


def test_writers_who_block_each_other_are_told_to_try_again(store: EventStore) -> None:
    together = Barrier(2)

    def write(first: str, second: str) -> bool:
        try:
            with store.transaction() as transaction:
                transaction.connection.execute("set local deadlock_timeout = '10ms'")
                transaction.append(Log.TASKS, [fact(first)])
                together.wait(timeout=5)
                transaction.append_each(Log.TASKS, [fact(second)])
        except DatabaseUnreachableError:
            return False
        return True

    with ThreadPoolExecutor(2) as writers:
        outcomes = list(writers.map(write, "ab", "ba"))

    assert sorted(outcomes) == [False, True]


def test_what_is_too_much_for_the_database_is_no_outage(store: EventStore) -> None:
    with pytest.raises(psycopg.errors.ProgramLimitExceeded), store.transaction() as transaction:
        transaction.connection.execute("select array_fill(0, array[1000, 1000, 1000])")


def test_a_store_that_was_closed_holds_no_connection(settings: Settings) -> None:
    with EventStore(settings.database_url.get_secret_value(), name="test closed") as store:
        store.safe_position(Log.TASKS)

    assert end_sessions(settings, like="ledgerq test closed") == 0


def wait_until_cut(connection: Connection) -> None:
    """Ask nothing until the server has ended the session: then there is something to read."""
    readable, _, _ = select.select([connection], [], [], 5)
    assert readable

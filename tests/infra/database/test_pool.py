from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from infra import database
from infra.database import ConnectionPool, DatabaseUnreachableError, parameters, pool
from infra.settings import Settings
from tests.infra.databases import end_sessions
from tests.waiting import eventually


@pytest.fixture
def two(settings: Settings) -> Iterator[ConnectionPool]:
    made = ConnectionPool(parameters(settings.database_url.get_secret_value(), name="pooled"), size=2)
    yield made
    made.close()


def session(lent: psycopg.Connection[tuple[object, ...]]) -> object:
    (pid,) = lent.execute("select pg_backend_pid()").fetchone() or (None,)
    return pid


def sessions(settings: Settings) -> int:
    with database.connect(settings, name="looking") as looking:
        (count,) = looking.execute(
            "select count(*) from pg_stat_activity "
            "where application_name = 'ledgerq pooled' and datname = current_database()"
        ).fetchone() or (-1,)
    assert isinstance(count, int)
    return count


def test_a_connection_is_used_again_and_none_is_opened_before_it_is_asked_for(
    settings: Settings, two: ConnectionPool
) -> None:
    assert sessions(settings) == 0
    used = set()
    for _ in range(3):
        with two.connection() as lent:
            used.add(session(lent))
    assert len(used) == 1
    assert sessions(settings) == 1


def test_more_threads_than_connections_take_turns(settings: Settings, two: ConnectionPool) -> None:
    def ask(number: int) -> int:
        with two.connection() as lent:
            (answer,) = lent.execute("select %s from pg_sleep(0.01)", (number,)).fetchone() or (-1,)
        assert isinstance(answer, int)
        return answer

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(40))) == list(range(40))
    assert sessions(settings) == 2


def test_who_waits_too_long_for_a_connection_is_told_that_all_are_in_use(
    two: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAIT_SECONDS", 0.05)
    with (
        two.connection(),
        two.connection(),
        pytest.raises(DatabaseUnreachableError, match="all 2 connections are in use"),
        two.connection(),
    ):
        pass


def test_a_session_that_was_ended_while_idle_is_replaced_without_a_word(
    settings: Settings, two: ConnectionPool
) -> None:
    with two.connection() as lent:
        first = session(lent)
    assert end_sessions(settings, like="ledgerq pooled") == 1

    with two.connection() as lent:
        assert session(lent) != first


def test_a_session_that_ends_at_work_is_a_fault_of_the_database_and_the_next_is_a_new_one(
    settings: Settings, two: ConnectionPool
) -> None:
    def interrupted() -> None:
        with two.connection() as lent:
            end_sessions(settings, like="ledgerq pooled")
            lent.execute("select 1")

    with pytest.raises(DatabaseUnreachableError, match="terminating connection"):
        interrupted()

    with two.connection() as lent:
        assert session(lent)


def test_a_transaction_that_was_left_open_is_rolled_back(two: ConnectionPool) -> None:
    with two.connection() as lent:
        lent.execute("begin")
        lent.execute("create table left_behind ()")

    with two.connection() as lent:
        assert lent.execute("select to_regclass('left_behind')").fetchone() == (None,)


def test_a_deadlock_is_a_fault_of_the_database_and_the_loser_goes_on(two: ConnectionPool) -> None:
    both_hold = threading.Barrier(2)

    def lock_two(first: int, second: int) -> BaseException | None:
        try:
            with two.connection() as lent, lent.transaction():
                lent.execute("set local deadlock_timeout = '50ms'")
                lent.execute("select pg_advisory_xact_lock(%s)", (first,))
                both_hold.wait(5)
                lent.execute("select pg_advisory_xact_lock(%s)", (second,))
        except DatabaseUnreachableError as error:
            return error.__cause__
        return None

    with ThreadPoolExecutor(2) as threads:
        locking = [threads.submit(lock_two, *pair) for pair in ((1, 2), (2, 1))]
        lost = [type(each.result(10)) for each in locking]
    assert set(lost) == {type(None), psycopg.errors.DeadlockDetected}


@pytest.mark.parametrize("wrong", ["select 1/0", "select nothing", "select repeat('x', 2000000000)"])
def test_what_is_wrong_with_the_question_is_no_fault_of_the_database(two: ConnectionPool, wrong: str) -> None:
    with pytest.raises(psycopg.Error), two.connection() as lent:
        lent.execute(wrong.encode())


def test_a_closed_pool_keeps_nothing_open(settings: Settings, two: ConnectionPool) -> None:
    with two.connection() as lent:
        session(lent)
        two.close()
    eventually(lambda: sessions(settings) == 0)


def test_a_fork_leaves_its_parents_connections_alone(two: ConnectionPool) -> None:
    with two.connection() as lent:
        first = session(lent)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with two.connection() as lent:
                os.write(tell, str(session(lent)).encode())
            two.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert int(os.read(told, 20)) != first
    with two.connection() as lent:
        assert session(lent) == first
    os.close(told)
    os.close(tell)

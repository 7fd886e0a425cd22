from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from infra import database
from infra.event_store import Checkpoint, CheckpointMovedError, EventStore, Log
from infra.settings import Settings
from tests.infra.event_store.facts import fact
from tests.waiting import eventually

Connection = psycopg.Connection[tuple[object, ...]]


def test_a_follower_that_has_not_begun_is_at_0(connection: Connection) -> None:
    assert Checkpoint.read(connection, "f", Log.TASKS) == 0


def test_each_follower_has_a_place_in_each_log(connection: Connection) -> None:
    Checkpoint.advance(connection, "f", Log.TASKS, expected=0, to=7)
    Checkpoint.advance(connection, "f", Log.LICENSING, expected=0, to=3)
    Checkpoint.advance(connection, "g", Log.TASKS, expected=0, to=1)
    Checkpoint.advance(connection, "f", Log.TASKS, expected=7, to=9)

    assert Checkpoint.read(connection, "f", Log.TASKS) == 9
    assert Checkpoint.read(connection, "f", Log.LICENSING) == 3
    assert Checkpoint.read(connection, "g", Log.TASKS) == 1


@pytest.mark.parametrize("expected", [0, 4, 6])
def test_it_moves_only_from_where_it_is_thought_to_be(connection: Connection, expected: int) -> None:
    Checkpoint.advance(connection, "f", Log.TASKS, expected=0, to=5)

    with pytest.raises(CheckpointMovedError, match=f"f on tasks is no longer at {expected}"):
        Checkpoint.advance(connection, "f", Log.TASKS, expected=expected, to=8)

    assert Checkpoint.read(connection, "f", Log.TASKS) == 5


@pytest.mark.parametrize("at", [0, 5])
def test_of_two_who_move_it_at_once_the_second_waits_and_learns_that_it_is_late(
    settings: Settings, connection: Connection, at: int
) -> None:
    if at:
        Checkpoint.advance(connection, "f", Log.TASKS, expected=0, to=at)
    with database.connect(settings, name="other") as other, ThreadPoolExecutor(1) as aside:
        with connection.transaction():
            Checkpoint.advance(connection, "f", Log.TASKS, expected=at, to=10)
            late = aside.submit(Checkpoint.advance, other, "f", Log.TASKS, expected=at, to=20)
            eventually(lambda: is_waiting(settings, other), every=0.01)
        with pytest.raises(CheckpointMovedError):
            late.result(timeout=5)

    assert Checkpoint.read(connection, "f", Log.TASKS) == 10


@pytest.mark.parametrize("at", [0, 5])
def test_where_the_first_of_two_gives_up_the_second_moves_it(
    settings: Settings, connection: Connection, at: int
) -> None:
    if at:
        Checkpoint.advance(connection, "f", Log.TASKS, expected=0, to=at)
    with database.connect(settings, name="other") as other, ThreadPoolExecutor(1) as aside:
        with connection.transaction(force_rollback=True):
            Checkpoint.advance(connection, "f", Log.TASKS, expected=at, to=10)
            second = aside.submit(Checkpoint.advance, other, "f", Log.TASKS, expected=at, to=20)
            eventually(lambda: is_waiting(settings, other), every=0.01)
        second.result(timeout=5)

    assert Checkpoint.read(connection, "f", Log.TASKS) == 20


def test_what_is_done_and_how_far_it_is_done_commit_together_or_not_at_all(
    store: EventStore, connection: Connection
) -> None:
    def work(*, expected: int) -> None:
        with store.transaction() as transaction:
            transaction.append(Log.TASKS, [fact("s")])
            Checkpoint.advance(transaction.connection, "f", Log.LICENSING, expected=expected, to=5)

    with pytest.raises(CheckpointMovedError):
        work(expected=4)
    assert store.load(Log.TASKS, ["s"]) == {}

    work(expected=0)
    assert list(store.load(Log.TASKS, ["s"])) == ["s"]
    assert Checkpoint.read(connection, "f", Log.LICENSING) == 5


def is_waiting(settings: Settings, connection: Connection) -> bool:
    """Whether the session waits for a lock."""
    with database.connect(settings, name="looking") as looking:
        (waits,) = looking.execute(
            "select cardinality(pg_blocking_pids(%s)) > 0", (connection.info.backend_pid,)
        ).fetchone() or (False,)
    return bool(waits)

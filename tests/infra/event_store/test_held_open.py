"""Transactions that are held open for a while, by writers that go on, give up, fall silent or die: nothing is missed.

``LAB_HELD_SECONDS=60 ./dev test tests/infra/event_store/test_held_open.py`` holds them for a minute.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event
from urllib.parse import quote

import pytest

from infra.database import DatabaseUnreachableError
from infra.database.connections import IDLE_IN_TRANSACTION_SECONDS
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tests.infra.event_store.facts import Follower, fact
from tests.waiting import eventually

HELD_SECONDS = float(os.environ.get("LAB_HELD_SECONDS", "1"))

WORK_ON = """
import sys
from infra.event_store import EventStore, Log
from tests.infra.event_store.facts import fact
with EventStore(sys.argv[1], name="test holder") as store, store.transaction() as transaction:
    transaction.append(Log.TASKS, [fact("held")])
    print("held", flush=True)
    transaction.connection.execute("select pg_sleep(600)")
"""


class GivenUpError(Exception):
    """The writer has thought better of it."""


@contextmanager
def appending(store: EventStore) -> Iterator[list[str]]:
    """Another writer that appends all the time; the streams it has appended so far."""
    stop = Event()
    streams: list[str] = []

    def append() -> None:
        while not stop.is_set():
            stream = f"meanwhile-{len(streams)}"
            store.append(Log.TASKS, [fact(stream)])
            streams.append(stream)

    with ThreadPoolExecutor(1) as writer:
        try:
            working = writer.submit(append)
            yield streams
        finally:
            stop.set()
        working.result()


@contextmanager
def following(store: EventStore) -> Iterator[Follower]:
    """A reader that reads all the time."""
    stop = Event()
    follower = Follower(store, Log.TASKS)

    def follow() -> None:
        while not stop.is_set():
            follower.look()

    with ThreadPoolExecutor(1) as reader:
        try:
            reading = reader.submit(follow)
            yield follower
        finally:
            stop.set()
        reading.result()


def seen(follower: Follower) -> list[str]:
    return [stream for _position, stream, _version in follower.places]


@pytest.mark.timeout(60 + 3 * HELD_SECONDS)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_readers_wait_for_a_transaction_that_is_held_open_and_miss_nothing_however_it_ends(
    store: EventStore, end: str
) -> None:
    store.append(Log.TASKS, [fact("before")])
    with following(store) as follower, appending(store) as streams:
        with suppress(GivenUpError), store.transaction() as transaction:
            transaction.append(Log.TASKS, [fact("held")])
            already = len(streams)
            until = time.monotonic() + HELD_SECONDS
            # It is at work: the server ends those who only hold it open.
            eventually(
                lambda: transaction.connection.execute("select 1") and time.monotonic() > until,
                seconds=2 * HELD_SECONDS + 20,
            )
            eventually(lambda: len(streams) > already + 20)
            assert not set(streams[already + 1 :]) & set(seen(follower))
            if end == "rollback":
                raise GivenUpError
        held_up = list(streams)
        eventually(lambda: set(held_up) <= set(seen(follower)), seconds=10)
    told = follower.catch_up()

    assert sorted(told) == sorted(["before", *streams] + (["held"] if end == "commit" else []))
    assert follower.places == sorted(follower.places)


def test_readers_go_on_once_the_server_has_ended_a_transaction_whose_writer_fell_silent(store: EventStore) -> None:
    follower = Follower(store, Log.TASKS)
    with suppress(DatabaseUnreachableError), store.transaction() as silent:
        silent.append(Log.TASKS, [fact("held")])
        silent.connection.execute("set local idle_in_transaction_session_timeout = '300ms'")
        store.append(Log.TASKS, [fact("after")])
        assert follower.catch_up() == []

        assert eventually(follower.catch_up, seconds=10) == ["after"]

    assert follower.catch_up() == ["after"]


def test_a_writer_that_is_killed_while_its_statement_runs_holds_nobody_back(
    store: EventStore, settings: Settings
) -> None:
    """The server would not notice before the statement ends, and that may wait for somebody's lock."""
    follower = Follower(store, Log.TASKS)
    often = quote("-c client_connection_check_interval=200ms")
    url = f"{settings.database_url.get_secret_value()}?options={often}"
    with subprocess.Popen([sys.executable, "-c", WORK_ON, url], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        store.append(Log.TASKS, [fact("after")])
        assert follower.catch_up() == []

        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

        assert eventually(follower.catch_up, seconds=10) == ["after"]


@pytest.mark.parametrize(
    ("setting", "bound"),
    [
        ("idle_in_transaction_session_timeout", f"{IDLE_IN_TRANSACTION_SECONDS}s"),
        ("client_connection_check_interval", "5s"),
    ],
)
def test_every_writer_has_the_bounds_on_how_long_it_can_hold_readers_back(
    store: EventStore, setting: str, bound: str
) -> None:
    with store.transaction() as transaction:
        found = transaction.connection.execute("select current_setting(%s)::interval = %s::interval", (setting, bound))
        assert found.fetchone() == (True,)

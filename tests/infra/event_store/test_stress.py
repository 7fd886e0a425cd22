"""Readers beside many writers: every event once, in order, while writers commit late, roll back and are killed."""

from __future__ import annotations

import random
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import Any

import psycopg
import pytest

from infra import database
from infra.event_store import EventStore, Log
from infra.event_store.log_table import LogTable
from infra.settings import Settings
from tests.infra.event_store.facts import Follower

WRITERS = 6
SECONDS = 5.0


@contextmanager
def writers(settings: Settings, seed: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that write for :data:`SECONDS`, from when all of them have begun."""
    url = settings.database_url.get_secret_value()
    command = [sys.executable, "-m", "tests.infra.event_store.writing", url]
    started = [
        subprocess.Popen([*command, f"{seed}-{number}", str(SECONDS)], stdout=subprocess.PIPE, text=True)
        for number in range(WRITERS)
    ]
    try:
        for writer in started:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writing\n"
        yield started
    finally:
        for writer in started:
            writer.kill()
            writer.communicate()


class Hasty(LogTable):
    """The negative control: goes by the highest position that can be seen."""

    def safe_position(self, connection: psycopg.Connection[Any]) -> int:
        return self.last_position(connection, upto=2**62) or 0


def follow(store: EventStore, page: int, stop: Event) -> list[tuple[int, str, int]]:
    follower = Follower(store, Log.TASKS, page=page)
    while not stop.is_set():
        follower.look()
    follower.catch_up()
    return follower.places


def kill_some(processes: list[subprocess.Popen[str]], chance: random.Random) -> None:
    """Kill a third of the writers, at moments of chance."""
    until = time.monotonic() + SECONDS / 2
    for writer in chance.sample(processes, WRITERS // 3):
        with pytest.raises(subprocess.TimeoutExpired):  # it is at work until it is killed
            writer.wait(timeout=chance.uniform(0.2, max(0.3, until - time.monotonic())))
        writer.kill()


def test_readers_miss_nothing_and_see_nothing_twice_whatever_writers_do(settings: Settings) -> None:
    seed = secrets.token_hex(4)
    stop = Event()
    url = settings.database_url.get_secret_value()
    with (
        EventStore(url, connections=2) as careful,
        EventStore(url, connections=1) as hasty,
        ThreadPoolExecutor(3) as readers,
        ExitStack() as at_the_end,
        writers(settings, seed) as processes,
    ):
        at_the_end.callback(stop.set)  # or the readers would go on for ever after a failure
        hasty._tables[Log.TASKS] = Hasty(Log.TASKS.table)
        seen = [readers.submit(follow, careful, page, stop) for page in (7, 500)]
        seen_in_haste = readers.submit(follow, hasty, 500, stop)
        kill_some(processes, random.Random(seed))
        ends = [writer.wait(timeout=30) for writer in processes]
    stored = everything(settings)

    assert sorted(ends) == [-9] * (WRITERS // 3) + [0] * (WRITERS - WRITERS // 3), seed
    assert len(stored) > 1000, "too little was written to prove anything"
    for reader in seen:
        assert reader.result() == stored, seed
    missed = set(stored) - set(seen_in_haste.result())
    assert missed, "the control missed nothing either: this test has no teeth today"


def everything(settings: Settings) -> list[tuple[int, str, int]]:
    with database.connect(settings, name="test") as connection:
        return connection.execute(
            "select position, stream_id, version from event_store.task_events order by position"
        ).fetchall()

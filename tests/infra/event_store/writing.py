"""A writer for the stress test: `python -m tests.infra.event_store.writing URL SEED SECONDS`, any number at once.

Appends to the tasks log in every manner there is until its time is up. What it stored is for the log to say.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, Log, LostRaceError
from tests.infra.event_store.facts import fact, facts


class ThoughtBetterError(Exception):
    """The transaction is rolled back."""


class Writer:
    def __init__(self, store: EventStore, seed: str) -> None:
        self._store = store
        self._chance = random.Random(seed)
        self._seed = seed
        self._streams = 0

    def write(self) -> None:
        """One piece of work of some kind. Where two block each other the server undoes one of them: let it."""
        manners: list[Callable[[], None]] = (
            [self._single] * 6 + [self._batch] * 2 + [self._each, self._long, self._undone]
        )
        with suppress(DatabaseUnreachableError):
            self._chance.choice(manners)()

    def _single(self) -> None:
        self._store.append(Log.TASKS, [fact(self._stream())])

    def _batch(self) -> None:
        self._store.append(Log.TASKS, facts(self._stream(), range(1, self._chance.randint(2, 60))))

    def _each(self) -> None:
        """Events of streams that other writers want as well, so some places are taken and positions are spent."""
        streams = sorted(f"shared-{self._chance.randrange(2000)}" for _ in range(10))
        self._store.append_each(Log.TASKS, [fact(stream, 1) for stream in streams])

    def _long(self) -> None:
        """A transaction whose early positions become visible long after others' later ones."""
        with self._store.transaction() as transaction:
            for _ in range(self._chance.randint(2, 12)):
                stream = self._stream()
                with suppress(LostRaceError):
                    transaction.append(Log.TASKS, [fact(stream), *facts(f"shared-{self._chance.randrange(2000)}", [1])])
                transaction.append(Log.TASKS, [fact(stream, 2)])
                # What a transaction does besides; the time is what makes it long.
                transaction.connection.execute("select pg_sleep(%s)", (self._chance.random() / 100,))

    def _undone(self) -> None:
        with suppress(ThoughtBetterError), self._store.transaction() as transaction:
            transaction.append(Log.TASKS, facts(self._stream(), range(1, 6)))
            raise ThoughtBetterError

    def _stream(self) -> str:
        self._streams += 1
        return f"{self._seed}-{self._streams}"


def main(url: str, seed: str, seconds: str) -> None:
    deadline = time.monotonic() + float(seconds)
    with EventStore(url, name="test writer") as store:
        writer = Writer(store, seed)
        store.safe_position(Log.TASKS)
        print("writing", flush=True)  # noqa: T201  the test waits for it
        while time.monotonic() < deadline:
            writer.write()


if __name__ == "__main__":
    main(*sys.argv[1:])

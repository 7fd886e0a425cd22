"""A process of writers, driven by :mod:`infra.bench.contest` through a pipe."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from threading import Barrier
from typing import Any, Final, NamedTuple, Protocol

READY: Final = "ready"


class Writer(Protocol):
    """One way to store events. Made in the process that uses it; its threads share it."""

    def prepare(self, size: int) -> Any:
        """A commit's worth of events, made before the clock runs."""

    def commit(self, prepared: Any) -> object:
        """Store them; on return they are on disk."""

    def close(self) -> None:
        """Close the connections."""


class Assignment(NamedTuple):
    """What one process is to be.

    Attributes:
        make: called with the database's URL.
        url: the database.
        threads: how many write at once.
    """

    make: Callable[[str], Writer]
    url: str
    threads: int


class Stint(NamedTuple):
    """What each thread does in a round: so many commits of so many events."""

    commits: int
    size: int


def serve(assignment: Assignment, pipe: Connection) -> None:
    """Work stint after stint until there are no more: say when ready, wait for the word, say when begun and ended."""
    writer = assignment.make(assignment.url)
    with ThreadPoolExecutor(assignment.threads) as pool:
        while (stint := _next(pipe)) is not None:
            works = list(pool.map(partial(_prepared, writer), [stint] * assignment.threads))
            gc.collect()
            gc.freeze()  # nobody has a whole stint's events in memory outside of a benchmark
            pipe.send(READY)
            pipe.recv()
            spans = list(pool.map(partial(_write, writer, Barrier(assignment.threads)), works))
            pipe.send((min(began for began, _ in spans), max(ended for _, ended in spans)))
    writer.close()


def _next(pipe: Connection) -> Stint | None:
    try:
        stint: Stint = pipe.recv()
    except EOFError:
        return None
    return stint


def _prepared(writer: Writer, stint: Stint) -> list[Any]:
    writer.commit(writer.prepare(stint.size))  # connected, and its statement is known to the server
    return [writer.prepare(stint.size) for _ in range(stint.commits)]


def _write(writer: Writer, together: Barrier, work: list[Any]) -> tuple[float, float]:
    together.wait()
    began = time.monotonic()
    for prepared in work:
        writer.commit(prepared)
    return began, time.monotonic()

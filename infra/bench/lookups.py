"""How long somebody waits who asks a log: for a stream, a story, a stretch of time; by what the commands ask with."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from infra.database import connect
from infra.event_store import Log
from infra.events.commands import KINDS, STREAM_PAGE_EVENTS
from infra.events.reading import LogReader, Which, story_streams
from infra.events.tailing import PAGE_EVENTS, Tail
from infra.settings import Settings

STORY_LIMIT: Final = 1000
"""Events of a story and log: what ``ledgerq events correlation`` shows where nobody asks for more."""
_SOME: Final = sql.SQL("""
    select stream_id, metadata ->> 'correlation_id', recorded_at from {table} where position = any(%s)
""")


class Asked(NamedTuple):
    """An event somewhere in the log, whose stream, story and time are asked for."""

    stream_id: str
    correlation_id: str
    recorded_at: Any


def measure(settings: Settings, log: Log, *, samples: int, seed: int) -> dict[str, float]:
    """p50 and p99 in milliseconds of the three ways to ask, each for as many events from anywhere in the log.

    The connection has prepared nothing, as a command's has not; connecting is not in the figures.

    Args:
        settings: of the database.
        log: which log's events are asked for. Where a way to ask covers all logs, all are asked.
        samples: how many times each.
        seed: of the choice of events.
    """
    with connect(settings, name="bench") as connection:
        connection.prepare_threshold = None
        reader = LogReader(connection)
        chance = random.Random(seed)  # noqa: S311  which events are asked for is no secret
        asked = _sample(connection, log, upto=reader.safe_position(log), samples=samples, chance=chance)
        ways: dict[str, Callable[[Asked], Sequence[Any]]] = {
            "read_stream": lambda each: _stream(reader, each),
            "read_correlation": lambda each: reader.correlation(each.correlation_id, limit=STORY_LIMIT),
            "read_range": lambda each: _range(reader, each),
        }
        figures: dict[str, float] = {}
        for name, way in ways.items():
            waits = sorted(_wait(way, each) for each in asked)
            figures[f"{name}_p50_ms"] = waits[len(waits) // 2]
            figures[f"{name}_p99_ms"] = waits[min(len(waits) - 1, round(0.99 * len(waits)))]
    return figures


def _stream(reader: LogReader, asked: Asked) -> list[Any]:
    log = reader.logs_of(story_streams(asked.stream_id, KINDS))[asked.stream_id]
    return list(reader.stream(log, asked.stream_id, limit=STREAM_PAGE_EVENTS))


def _range(reader: LogReader, asked: Asked) -> list[Any]:
    """The first page of what ``tail --since`` shows."""
    tail = Tail(reader, list(Log), Which(since=asked.recorded_at))
    tail.begin_since(asked.recorded_at)
    return list(islice(tail.look(), PAGE_EVENTS[Log.TASKS]))


def _wait(way: Callable[[Asked], Sequence[Any]], asked: Asked) -> float:
    """Milliseconds.

    Raises:
        RuntimeError: nothing was found, although the event is there; then the figure would say nothing.
    """
    began = time.perf_counter()
    found = way(asked)
    took = time.perf_counter() - began
    if not found:
        raise RuntimeError(f"nothing was found of {asked}")
    return 1000 * took


def _sample(
    connection: psycopg.Connection[Any], log: Log, *, upto: int, samples: int, chance: random.Random
) -> list[Asked]:
    """Events at random positions; there are a few fewer than ``samples`` where positions were left out."""
    positions = [chance.randint(1, upto) for _ in range(samples)]
    query = _SOME.format(table=sql.Identifier("event_store", log.table))
    found = [Asked(*row) for row in connection.execute(query, (positions,)).fetchall()]
    chance.shuffle(found)
    return found

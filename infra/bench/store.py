"""The event store against what PostgreSQL allows and beside the stock library, in one database and the same rounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import psycopg

from infra.bench import payload
from infra.bench.contest import Contender, medians, race
from infra.bench.library import LibraryHeartbeats, LibraryWriter, make_table
from infra.bench.raw import Source, make_tables, raw
from infra.bench.writing import Stint
from infra.event_store import EventStore, Log, NewEvent

BATCH: Final = 1000
"""Events of one commit, and heartbeats of one event."""
CALLERS: Final = 16
"""How many append a single event each, at the same time."""

_STARTS: Final = Source(Log.LICENSING, payload.session_starts)
_RUNS: Final = Source(Log.TASKS, payload.task_starts)
_BEATS: Final = Source(Log.HEARTBEATS, payload.single_heartbeats)
_HEARTBEAT_BYTES: Final = """
    select (select sum(pg_total_relation_size(relid)) from pg_partition_tree('event_store.heartbeat_events'))
        / sum(jsonb_array_length(data -> 'session_ids'))::float
    from event_store.heartbeat_events where name = 'session.heartbeats_received'
"""

Tell = Callable[[str], None]


class StoreWriter:
    """Our own way: decisions, all or nothing."""

    def __init__(self, url: str, *, source: Source = _STARTS, connections: int = 1) -> None:
        self._store = EventStore(url, connections=connections, name="bench")
        self._source = source

    def prepare(self, size: int) -> list[NewEvent]:
        """So many events."""
        return self._source.events(size)

    def commit(self, prepared: list[NewEvent]) -> object:
        """Append them in one transaction."""
        return self._store.append(self._source.log, prepared)

    def close(self) -> None:
        """Close the connections."""
        self._store.close()


class LifecycleWriter(StoreWriter):
    """What is told of runs, each event on its own; a share of it for the second time."""

    def __init__(self, url: str, *, told_before: float) -> None:
        super().__init__(url, source=_RUNS)
        self._told_before = told_before

    def prepare(self, size: int) -> list[NewEvent]:
        """So many events, a share of which is stored already."""
        events = super().prepare(size)
        repeated = {round(number / self._told_before) for number in range(round(size * self._told_before))}
        self._store.append_each(Log.TASKS, [new for number, new in enumerate(events) if number in repeated])
        return events

    def commit(self, prepared: list[NewEvent]) -> object:
        """Append each that is new."""
        return self._store.append_each(Log.TASKS, prepared)


class HeartbeatWriter(StoreWriter):
    """All heartbeats of a commit in one event."""

    def prepare(self, size: int) -> list[NewEvent]:
        """One event of so many heartbeats."""
        return payload.heartbeats(size)

    def commit(self, prepared: list[NewEvent]) -> object:
        """Append it."""
        return self._store.append_each(Log.HEARTBEATS, prepared)


class StoreBench:
    """Measures appends; rates are events (heartbeats) a second, ratios medians over the rounds.

    Args:
        url: a migrated database; tables beside the logs are made in it.
        scale: of the work; 1 takes about half a minute a measurement.
        rounds: many short ones: on a busy machine one long one says little.
        tell: called with a line for each round.
    """

    def __init__(self, url: str, *, scale: float, rounds: int, tell: Tell) -> None:
        self._url = url
        self._rounds = rounds
        self._scale = scale
        self._tell = tell
        with psycopg.connect(url, autocommit=True) as connection:
            make_tables(connection)
        make_table(url)

    def append_batch(self, *, writers: int = 1) -> dict[str, float]:
        """A thousand events a commit, by so many processes."""
        found = self._race(
            Stint(self._commits(40 // writers), BATCH),
            ours=Contender(StoreWriter, writers),
            raw=raw(_STARTS, processes=writers),
            library=Contender(LibraryWriter, writers, part=0.3),
        )
        return _named("append_batch" + ("" if writers == 1 else str(writers)), found, raw=("raw",))

    def append_single(self) -> dict[str, float]:
        """One event a commit, one after the other."""
        found = self._race(
            Stint(self._commits(500), 1),
            ours=Contender(StoreWriter),
            raw=raw(_STARTS),
            library=Contender(LibraryWriter),
        )
        return _named("append_single", found, raw=("raw",))

    def append_single16(self) -> dict[str, float]:
        """One event a call by sixteen at once: ours threads of one process, raw as either, the better one counting."""
        found = self._race(
            Stint(self._commits(250), 1),
            ours=Contender(partial(StoreWriter, connections=CALLERS), threads=CALLERS),
            raw=raw(_STARTS, processes=CALLERS),
            raw_threads=raw(_STARTS, threads=CALLERS),
            library=Contender(LibraryWriter, CALLERS, part=0.1),
        )
        return _named("append_single16", found, raw=("raw", "raw_threads"))

    def append_lifecycle(self) -> dict[str, float]:
        """What workers tell, a thousand a commit, none, a tenth and all of it told before."""
        shares = {"": 0.0, "_10": 0.1, "_100": 1.0}
        ours = {f"ours{name}": Contender(partial(LifecycleWriter, told_before=share)) for name, share in shares.items()}
        found = self._race(Stint(self._commits(12), BATCH), **ours, raw=raw(_RUNS))
        figures: dict[str, float] = {}
        for name in shares:
            measured = [{"ours": each[f"ours{name}"], "raw": each["raw"]} for each in found]
            figures |= _named(f"append_lifecycle{name}", measured, raw=("raw",))
        return figures

    def heartbeats(self) -> dict[str, float]:
        """Heartbeats by the thousand in an event; a row each; an event of the library's aggregate each."""
        found = self._race(
            Stint(self._commits(100), BATCH),
            ours=Contender(HeartbeatWriter),
            raw_rows=raw(_BEATS, part=0.3),
            library=Contender(LibraryHeartbeats, part=0.1),
        )
        with psycopg.connect(self._url) as connection:
            ((size,),) = connection.execute(_HEARTBEAT_BYTES).fetchall()
        figures = medians("ours", found, raw_rows=("raw_rows",), library=("library",))
        rate = figures.pop("per_second")
        return {
            "heartbeats_appended_per_second": rate,
            **{f"heartbeats_{name}": value for name, value in figures.items()},
            "heartbeat_bytes": float(size),
        }

    def _commits(self, commits: int) -> int:
        return max(3, round(commits * self._scale))

    def _race(self, stint: Stint, **contenders: Contender) -> list[dict[str, float]]:
        return race(self._url, contenders, stint, rounds=self._rounds, tell=self._tell)


def _named(measurement: str, found: list[dict[str, float]], *, raw: tuple[str, ...]) -> dict[str, float]:
    limits: dict[str, Any] = {"raw": raw, **({"library": ("library",)} if "library" in found[0] else {})}
    return {f"{measurement}_{name}": value for name, value in medians("ours", found, **limits).items()}

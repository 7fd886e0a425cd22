"""How fast events become rows, beside a plain COPY of the same rows and the stock library's projection runner."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from infra import database
from infra.bench import library_projection
from infra.bench.memory import resident_megabytes
from infra.event_store import Log
from infra.settings import Settings

SESSIONS: Final = 100_000
HEARTBEATS_EACH: Final = 500
"""Heartbeats in one event: what ingest stores of a busy fleet."""
MILLION: Final = 1_000_000
_TABLE: Final = "read_model.ingest_dead_letters"
_FROM: Final = 0.1
"""The clock runs from this part of the log on: starting up is not measured."""
_DEADLINE_SECONDS: Final = 110.0
_LOOK_SECONDS: Final = 0.02
_MESSAGES: Final = """
    insert into event_store.licensing_events (version, occurred_at, event_id, stream_id, name, data)
    select 1, now(), gen_random_uuid(), 'dead_message-' || gen_random_uuid(), 'ingest.message_dead_lettered',
           jsonb_build_object('reason', 'invalid', 'detail', 'session_id: is required', 'source', '/bench',
               'message_type', 'session.started', 'source_event_id', n::text, 'fragment', repeat('x', 100))
    from generate_series(1, %s) n
"""
_HEARTBEATS: Final = """
    insert into event_store.heartbeat_events (version, occurred_at, event_id, stream_id, name, data)
    select 1, '2026-01-01'::timestamptz + make_interval(mins => minute), gen_random_uuid(),
           'heartbeat_batch-' || gen_random_uuid(), 'session.heartbeats_received',
           jsonb_build_object('session_ids', session_ids, 'offsets_ms', offsets)
    from generate_series(1, %(minutes)s) minute
    cross join lateral (
        select jsonb_agg('s' || n order by n) as session_ids, jsonb_agg(n %% 60000 order by n) as offsets
        from generate_series(0, %(sessions)s - 1) n group by n / %(each)s
    ) batch
"""


class Seen(NamedTuple):
    """Where a checkpoint stood, and when it came there, in seconds since 1970 by the database's clock."""

    position: int
    at: float


class ProjectionBench:
    """Measures the projector on a database that nothing else uses.

    Args:
        settings: of that database.
        directory: where the projector's output goes.
        environment: the platform's.
    """

    def __init__(self, settings: Settings, directory: Path, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._directory = directory
        self._environment = environment
        self._database = database.connect(settings, name="bench")

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def rows(self, *, events: int, library_events: int, rounds: int) -> dict[str, float]:
        """A row per event, exactly once; beside it, in turn, a COPY of those rows and the library's runner.

        Args:
            events: in each round.
            library_events: in each round; the library takes its time.
            rounds: each measures all three once; what is said is the median of each figure.
        """
        return _medians([self._rows(events, library_events) for _ in range(rounds)])

    def heartbeats(self, *, minutes: int, events: int, rounds: int) -> dict[str, float]:
        """Heartbeats into the read model of sessions, in turn with a row per event.

        Each session sends one a minute; the clock runs once each has been heard of.
        """
        return _medians([self._heartbeats(minutes, events) for _ in range(rounds)])

    def rebuild(self, *, events: int) -> dict[str, float]:
        """Seconds to rebuild from a million events, by way of ``ledgerq projection rebuild``, and its memory."""
        self._empty()
        self._fill(_MESSAGES, [events])
        began = time.monotonic()
        with self._process("rebuild", ("projection", "rebuild", "ingest_dead_letters", "--anew")) as process:
            early, peak = 0.0, 0.0
            while process.poll() is None:
                peak = max(peak, resident_megabytes(process.pid))
                if not early and time.monotonic() - began > 3:  # noqa: PLR2004  it has started and is at work
                    early = peak
                time.sleep(_LOOK_SECONDS)
        took = time.monotonic() - began
        if process.returncode:
            raise RuntimeError(f"the rebuild failed; see {self._directory}/bench-rebuild.log")
        return {
            "rebuild_million_seconds": took * MILLION / events,
            "rebuild_events_per_second": events / took,
            "rebuild_early_mb": early or peak,
            "rebuild_peak_mb": peak,
        }

    def _rows(self, events: int, library_events: int) -> dict[str, float]:
        self._empty()
        self._fill(_MESSAGES, [events])
        rate = self._projected("ingest_dead_letters", "licensing")
        limit = self._copied()
        self._database.execute(f"drop table if exists {library_projection.TABLE}")
        self._database.execute(f"create table {library_projection.TABLE} (like {_TABLE} including all)")
        self._database.execute("drop schema if exists bench cascade")
        self._database.execute("create schema bench")
        peer = library_projection.rows_per_second(self._settings.database_url.get_secret_value(), events=library_events)
        return {
            "projection_events_per_second": rate,
            "copy_rows_per_second": limit,
            "library_events_per_second": peer,
            "projection_vs_copy": rate / limit,
            "projection_vs_library": rate / peer,
        }

    def _heartbeats(self, minutes: int, events: int) -> dict[str, float]:
        self._empty()
        self._fill(_HEARTBEATS, {"minutes": minutes, "sessions": SESSIONS, "each": HEARTBEATS_EACH})
        self._fill(_MESSAGES, [events])
        rate = self._projected("sessions", "heartbeats", part=1 / minutes) * HEARTBEATS_EACH
        rows = self._projected("ingest_dead_letters", "licensing")
        return {"heartbeats_projected_per_second": rate, "heartbeats_vs_row_per_event": rate / rows}

    def _empty(self) -> None:
        with self._database.transaction():
            self._database.execute("set local ledgerq.maintenance = on")
            for table in ("event_store.licensing_events", "event_store.heartbeat_events", _TABLE):
                self._database.execute(f"truncate {table}".encode())
            self._database.execute("truncate event_store.checkpoints, read_model.sessions, read_model.session_returns")

    def _fill(self, statement: str, values: Sequence[object] | Mapping[str, object]) -> None:
        self._database.execute(statement.encode(), values)
        self._database.execute("vacuum analyze event_store.licensing_events, event_store.heartbeat_events")
        self._database.execute("checkpoint")

    def _projected(self, projection: str, log: str, *, part: float = _FROM) -> float:
        """Positions a second at which a projector's process passes the log, from a part of it on."""
        query = f"select min(position), max(position) from event_store.{Log(log).table}"  # noqa: S608  our own name
        first, last = self._database.execute(query.encode()).fetchone() or (0, 0)
        with self._process("projector", ("projector", "--only", projection)) as process:
            began = self._until(process, projection, log, first + int((last - first) * part))
            ended = self._until(process, projection, log, last)
        return (ended.position - began.position) / (ended.at - began.at)

    def _until(self, process: subprocess.Popen[bytes], projection: str, log: str, position: int) -> Seen:
        query = """
            select position, extract(epoch from updated_at)::float8 from event_store.checkpoints
            where follower = %s and log = %s
        """
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            row = self._database.execute(query, (f"projection.{projection}", log)).fetchone()
            if row and row[0] >= position:
                return Seen(*row)
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{projection} did not come to {position}; see {self._directory}")
            time.sleep(_LOOK_SECONDS)

    def _copied(self) -> float:
        """Rows a second by COPY into a table with the same columns and indexes, a thousand in each commit."""
        with self._database.cursor() as cursor, cursor.copy(f"copy {_TABLE} to stdout") as copy:
            lines = [bytes(line) for line in copy]
        self._database.execute(f"create table read_model.bench_copy (like {_TABLE} including all)")
        began = time.monotonic()
        for first in range(0, len(lines), 1000):
            with self._database.cursor() as cursor, cursor.copy("copy read_model.bench_copy from stdin") as copy:
                copy.write(b"".join(lines[first : first + 1000]))
        took = time.monotonic() - began
        self._database.execute("drop table read_model.bench_copy")
        return len(lines) / took

    @contextmanager
    def _process(self, name: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        with (self._directory / f"bench-{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own command lines
                (sys.executable, "-m", "infra.cli", *command),
                env={**self._environment, "LEDGERQ_LOG_LEVEL": "warning"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _medians(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in measured) for name in measured[0]}

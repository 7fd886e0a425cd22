"""Whether a log stays as fast as it was: appends and look-ups when ten million events are in it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from infra.bench import lookups
from infra.bench.contest import Contender, race
from infra.bench.raw import make_tables, raw, raw_table
from infra.bench.store import BATCH, StoreWriter
from infra.bench.stories import RUNS
from infra.bench.writing import Stint
from infra.event_store import Log
from infra.settings import Settings

GIGABYTES_A_MILLION: Final = 0.9
"""Of disk, indexes included."""
FILLING: Final = 2
"""Processes that fill the log between its first stretch and its last."""
_FILL: Final = Stint(50, BATCH)
_WRITTEN: Final = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
_LENGTH: Final = "select coalesce(max(position), 0) from event_store.task_events"
_SIZE: Final = "select pg_total_relation_size('event_store.task_events') / 1e9"

_OURS: Final = Contender(partial(StoreWriter, source=RUNS))


class Stretch(NamedTuple):
    """What appending to a log of some length is like.

    Attributes:
        rate: events a second; the median of the rounds.
        of_raw: the part of the limit that is; the median of the rounds' ratios.
        wal_bytes: what an event adds to the write-ahead log, whole pages after a checkpoint included.
    """

    rate: float
    of_raw: float
    wal_bytes: float


class LongLogBench:
    """Fills the log of tasks by the real way to append, in an otherwise empty database.

    Args:
        settings: of a migrated database.
        events: how many, roughly, with the first and the last stretch, which are measured.
        commits: of a thousand events, in each round of a stretch.
        rounds: of a stretch.
        samples: of each way to ask.
        tell: called with a line for each round.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        events: int,
        tell: Callable[[str], None],
        commits: int = 20,
        rounds: int = 9,
        samples: int = 2000,
    ) -> None:
        self._settings = settings
        self._url = settings.database_url.get_secret_value()
        self._events = events
        self._stint = Stint(commits, BATCH)
        self._rounds = rounds
        self._samples = samples
        self._tell = tell
        self._database = psycopg.connect(self._url, autocommit=True)
        make_tables(self._database)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def measure(self) -> dict[str, float]:
        """Events a second in the first and in the last stretch, beside a small table's; what asking takes then.

        A machine's speed changes in the minutes between, so in each round a plain insert into an empty table like the
        log takes its turn; ``append_ten_million_of_raw_vs_start`` compares the parts of that limit that were reached.
        """
        self._tell(f"  some {self._events / 1e6 * GIGABYTES_A_MILLION:.1f} GB of disk will be needed")
        first = self._stretch()
        self._fill(upto=self._events - int(self._ask(_LENGTH)))  # the last stretch is as long as the first
        last = self._stretch()
        return {
            "append_ten_million_per_second": last.rate,
            "append_ten_million_start_per_second": first.rate,
            "append_ten_million_vs_start": last.rate / first.rate,
            "append_ten_million_of_raw_vs_start": last.of_raw / first.of_raw,
            "append_ten_million_wal_bytes": last.wal_bytes,
            "append_ten_million_start_wal_bytes": first.wal_bytes,
            "ten_million_events": float(self._ask(_LENGTH)),
            "ten_million_log_gb": float(self._ask(_SIZE)),
            **lookups.measure(self._settings, Log.TASKS, samples=self._samples, seed=1),
        }

    def _stretch(self) -> Stretch:
        self._database.execute(sql.SQL("truncate {}").format(raw_table(Log.TASKS)))
        contenders = {"ours": _OURS, "raw": raw(RUNS)}
        found = race(self._url, contenders, self._stint, rounds=self._rounds, tell=self._tell)
        before, written = self._ask(_LENGTH), self._ask(_WRITTEN)
        race(self._url, {"ours, alone": _OURS}, self._stint, rounds=self._rounds, tell=self._tell)
        return Stretch(
            statistics.median(each["ours"] for each in found),
            statistics.median(each["ours"] / each["raw"] for each in found),
            (self._ask(_WRITTEN) - written) / (self._ask(_LENGTH) - before),
        )

    def _fill(self, *, upto: int) -> None:
        a_round = FILLING * (_FILL.commits + 1) * BATCH
        rounds = max(0, upto - int(self._ask(_LENGTH))) // a_round
        race(self._url, {"filling": _OURS._replace(processes=FILLING)}, _FILL, rounds=rounds, tell=self._tell)

    def _ask(self, query: str) -> float:
        ((value,),) = self._database.execute(query.encode()).fetchall()
        return float(value)

"""The four promises, checked afterwards against the log, the read models, and what producers and tasks have noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from domain.license import license_stream
from domain.run import END_NAMES
from domain.session import session_stream
from domain.task_run import SLOT_END, SLOTS_PER_ATTEMPT, run_stream
from infra.event_store import Log
from infra.local.chaos.load import CONFIRMED, MARKS

NOT_REBUILT: Final = frozenset(
    {
        *("followed_logs", "usage_hourly", "usage_daily", "usage_changes", "usage_progress"),
        *("heartbeat_minutes", "heartbeat_minutes_unclaimed"),
    }
)
"""Tables of schema ``read_model`` that are no projection's."""

_STREAM_OF: Final = {
    "run": (Log.TASKS, run_stream),
    "direct": (Log.TASKS, run_stream),
    "session": (Log.LICENSING, session_stream),
    "license": (Log.LICENSING, license_stream),
}
_OPEN: Final = f"""
    select stream_id from event_store.task_events group by stream_id
    having not bool_or(version = {SLOT_END}) and min(recorded_at) <= %s
"""  # noqa: S608  a constant
_LAST: Final = f"""
    select distinct on (stream_id) stream_id, name, recorded_at, data from event_store.task_events
    where stream_id = any(%s) and version < {SLOT_END} order by stream_id, version desc
"""  # noqa: S608
_ENDS: Final = f"""
    select name, count(*) from event_store.task_events where version = {SLOT_END} group by name order by count(*) desc
"""  # noqa: S608
_TWO_ENDS: Final = f"""
    select stream_id from event_store.task_events
    where name = any(%s) and (name <> 'task.dead_lettered' or version = {SLOT_END})
    group by stream_id having count(*) > 1
"""  # noqa: S608
_ATTEMPTS: Final = f"""
    select distinct stream_id, coalesce((data->>'attempt')::bigint, version / {SLOTS_PER_ATTEMPT}) as attempt
    from event_store.task_events where data ? 'attempt'
"""  # noqa: S608
_IGNORED: Final = "select count(*) as ignored from event_store.task_events where name = 'task.outcome_ignored'"


@dataclass
class Findings:
    """What was found; the first five have to be empty.

    Attributes:
        unstored: confirmed to a producer, and not in the log.
        ids_twice: event ids that stand for two events.
        two_ends: runs with more than one end.
        differing: read models that a rebuild makes differently.
        lost: accepted runs without an end.
        confirmed: what producers got a confirm for, by kind.
        ends: how runs ended.
        events: in all logs.
        ignored: outcomes that came after the end, recorded as such.
        executions: marks that tasks left.
        repeated: executions beyond the first of the same attempt.
        unrecorded: executions of attempts that the log does not know.
    """

    unstored: list[str] = field(default_factory=list)
    ids_twice: int = 0
    two_ends: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    confirmed: Counter[str] = field(default_factory=Counter)
    ends: dict[str, int] = field(default_factory=dict)
    events: int = 0
    ignored: int = 0
    executions: int = 0
    repeated: int = 0
    unrecorded: int = 0

    @property
    def are_kept(self) -> bool:
        """Whether all four promises were kept."""
        return not (self.unstored or self.ids_twice or self.two_ends or self.differing or self.lost)

    def lines(self) -> list[str]:
        """What people read."""
        confirmed = " + ".join(f"{kind} {count}" for kind, count in sorted(self.confirmed.items()))
        ends = " + ".join(f"{name.removeprefix('task.')} {count}" for name, count in self.ends.items())
        return [
            f"1  nothing acknowledged before it is stored: {confirmed} confirmed, {len(self.unstored)} not stored",
            f"2  counts once: {self.events} events, {self.ids_twice} ids twice; {len(self.two_ends)} double ends",
            f"   late outcomes, recorded and ignored: {self.ignored}",
            f"3  read models: {len(self.differing)} differ from a rebuild {' '.join(self.differing)}".rstrip(),
            f"4  {sum(self.ends.values())} runs ended = {ends}; {len(self.lost)} lost (without an end)",
            f"   executions: {self.executions}; repeated under the same attempt: {self.repeated}",
            f"   executed attempts that nobody recorded: {self.unrecorded}",
            *(f"   not stored: {name}" for name in self.unstored[:20]),
            *(f"   two ends: {name}" for name in self.two_ends[:20]),
            *(f"   lost: {name}" for name in self.lost[:20]),
            "the four promises were kept" if self.are_kept else "A PROMISE WAS BROKEN",
        ]


class Ledger:
    """Asks the platform's database.

    Args:
        database_url: of the platform.
        directory: where the load noted what was confirmed and tasks left their marks.
    """

    def __init__(self, database_url: str, directory: Path) -> None:
        self._url = database_url
        self._directory = directory

    def open_runs(self, cut: datetime | None = None) -> list[str]:
        """Runs accepted by ``cut`` that have no end."""
        return [row["stream_id"] for row in self._ask(_OPEN, cut or self.now())]

    def unstored(self) -> list[str]:
        """What was confirmed to a producer and is not in the log."""
        missing = []
        for kind, names in self._confirmed().items():
            log, stream_of = _STREAM_OF[kind]
            streams = [stream_of(name) for name in names]
            found = self._ask(
                f"select distinct stream_id from event_store.{log.table} where stream_id = any(%s)",  # noqa: S608
                streams,
            )
            missing += sorted(set(streams) - {row["stream_id"] for row in found})
        return missing

    def now(self) -> datetime:
        """The database's clock."""
        moment: datetime = self._ask("select clock_timestamp() as now")[0]["now"]
        return moment

    def projections(self) -> list[str]:
        """Names of all projections."""
        rows = self._ask("select distinct projection from read_model.followed_logs order by 1")
        return [row["projection"] for row in rows]

    def are_projections_current(self) -> bool:
        """Whether every read model knows everything in its logs."""
        return not self._ask("select 1 from analytics.meta_freshness where position < safe_position")

    def digests(self) -> dict[str, str]:
        """A digest of the rows of every table of a projection."""
        named = self._ask("select tablename as name from pg_tables where schemaname = 'read_model' order by 1")
        tables = [row["name"] for row in named if row["name"] not in NOT_REBUILT]
        query = "select md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) as digest from {} t"
        return {
            table: self._ask(sql.SQL(query).format(sql.Identifier("read_model", table)))[0]["digest"]
            for table in tables
        }

    def findings(self, *, cut: datetime, differing: Iterable[str]) -> Findings:
        """All that can be said once nothing moves any more."""
        found = Findings(unstored=self.unstored(), lost=self._lost(cut), differing=sorted(differing))
        found.confirmed = Counter({kind: len(names) for kind, names in self._confirmed().items()})
        found.two_ends = [row["stream_id"] for row in self._ask(_TWO_ENDS, sorted(END_NAMES))]
        found.ends = {row["name"]: row["count"] for row in self._ask(_ENDS)}
        found.ignored = self._ask(_IGNORED)[0]["ignored"]
        for log in Log:
            counts = f"select count(*) as events, count(distinct event_id) as ids from event_store.{log.table}"  # noqa: S608
            row = self._ask(counts)[0]
            found.events += row["events"]
            found.ids_twice += row["events"] - row["ids"]
        self._count_executions(found)
        return found

    def _lost(self, cut: datetime) -> list[str]:
        """Runs accepted by ``cut`` that have no end, each with the last that was told of it."""
        told = self._ask(_LAST, self.open_runs(cut))
        return [f"{row['stream_id']}: {row['name']} at {row['recorded_at']:%H:%M:%S}, {row['data']}" for row in told]

    def _count_executions(self, found: Findings) -> None:
        marks = self._directory / MARKS
        lines = marks.read_text().split("\n") if marks.exists() else []
        executed = Counter(tuple(line.split()) for line in lines if line)
        recorded = {(row["stream_id"], str(row["attempt"])) for row in self._ask(_ATTEMPTS)}
        found.executions = executed.total()
        found.repeated = sum(count - 1 for count in executed.values())
        found.unrecorded = sum((run_stream(run), attempt) not in recorded for run, attempt in executed)

    def _confirmed(self) -> Mapping[str, list[str]]:
        names: dict[str, list[str]] = {}
        file = self._directory / CONFIRMED
        for line in file.read_text().splitlines() if file.exists() else ():
            kind, _, name = line.partition(" ")
            names.setdefault(kind, []).append(name)
        return names

    def _ask(self, query: str | sql.Composed, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self._url, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query.encode() if isinstance(query, str) else query, values).fetchall()

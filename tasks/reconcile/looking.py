"""Looking again and again, with the log caught up meanwhile, and what comes of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from domain.task_run import SLOT_REQUESTED, TaskRequested, TaskStarted
from domain.tier import TIER_OF_QUEUE, Tier
from infra.broker.connection import broker_faults, connect
from infra.broker.management import ManagementApi
from infra.event_store import Checkpoint, Log
from infra.event_store.watermarks import log_time
from infra.settings import Settings
from tasks.dispatch.lane import Lane
from tasks.reconcile.contents import read_contents
from tasks.reconcile.fan_ins import StuckFanIn, narrowed, open_fan_ins, stuck
from tasks.reconcile.judging import Begun, Evidence, Shortfall, Standing, judge, shortfalls
from tasks.reconcile.look import STATS_SECONDS, Look, Process, look, process_of
from tasks.reconcile.open_run import OpenRun, Place, open_runs

FAN_IN_AGE: Final = timedelta(hours=1)
_AGAIN_SECONDS: Final = 0.25
_NOW: Final = "select clock_timestamp()"
_BEGUN: Final = """
    select s.data->>'queue' as queue, coalesce((s.data->>'priority')::int, 0) as priority, r.recorded_at,
           (s.data->>'received_at')::timestamptz as received_at, s.data->>'worker' as worker
    from event_store.task_events s
    join event_store.task_events r on r.stream_id = s.stream_id and r.version = %s and r.name = %s
    where s.name = %s and s.recorded_at > %s and s.data ? 'received_at'
"""


class LogBehindError(Exception):
    """The log does not catch up with the moment we looked: ingest is down or behind; nothing can be said."""


class Found(NamedTuple):
    """What reconciling found.

    Attributes:
        standings: every open run, under what can be said of it.
        shortfalls: places that hold fewer messages than they should; the runs are among the expected ones.
        fan_ins: those that can never complete, for members of theirs are nowhere and were never recorded.
    """

    standings: Mapping[Standing, list[OpenRun]]
    shortfalls: list[Shortfall]
    fan_ins: Sequence[StuckFanIn] = ()

    @property
    def nowhere(self) -> list[OpenRun]:
        """The runs that are in none of the places where they could be."""
        return self.standings[Standing.NOWHERE]


@dataclass
class Searcher:
    """Finds out which runs are nowhere.

    Args:
        settings: for the three addresses.
        patience: how long the log may take to catch up with a look.
        settle: between two looks; at least as long as the broker's statistics are old.
        fan_in_age: how long after a fan-in's declaration its members are asked after; longer than they take to be sent.
        reads: also read the messages in queues and ladder, where counting does not do.
        tell: called with a line for each step.
    """

    settings: Settings
    patience: timedelta
    settle: timedelta = timedelta(seconds=STATS_SECONDS)
    fan_in_age: timedelta = FAN_IN_AGE
    reads: bool = False
    tell: Callable[[str], None] = lambda _line: None
    _api: ManagementApi = field(init=False)

    def __post_init__(self) -> None:
        self._api = ManagementApi(self.settings)

    def find(self, database: psycopg.Connection[Any]) -> Found:
        """Look, and judge.

        Args:
            database: in autocommit mode.

        Raises:
            LogBehindError: the log does not catch up.
            BrokerError: the broker or its management API does not answer.
        """
        looks = [self._look(database)]
        self._await_log(database, looks[0].at)
        is_in_question = _in_question(open_runs(database), looks[0], _dispatched(database))
        if not is_in_question and not self._fan_ins(database, looks[0]):
            return Found({standing: [] for standing in Standing}, [])
        contents: frozenset[str] | None = None
        for _ in range(2):
            contents = self._look_again(database, looks, contents)
        found = self._judge(database, looks, contents)
        if not found.nowhere and not found.fan_ins:
            return found
        contents = self._look_again(database, looks, contents)
        again = self._judge(database, looks, contents)
        suspected = {run.run_id for run in found.nowhere}
        expected = [run for run in again.nowhere if run.run_id not in suspected]
        again.standings[Standing.EXPECTED].extend(expected)
        again.standings[Standing.NOWHERE][:] = [run for run in again.nowhere if run.run_id in suspected]
        return again._replace(fan_ins=narrowed(again.fan_ins, {run for each in found.fan_ins for run in each.missing}))

    def _look_again(
        self, database: psycopg.Connection[Any], looks: list[Look], contents: frozenset[str] | None
    ) -> frozenset[str] | None:
        """Add a look, and what was read, once the broker's own statistics are younger than the one before."""
        self.tell(f"looked at {looks[-1].at:%H:%M:%S} UTC; looking again in {self.settle.total_seconds():.0f} s")
        time.sleep(self.settle.total_seconds())
        looks.append(self._look(database))
        # Read more than once: what is being passed on from rung to rung just then is in neither.
        return (contents or frozenset()) | self._read() if self.reads else None

    def _judge(
        self, database: psycopg.Connection[Any], looks: Sequence[Look], contents: frozenset[str] | None
    ) -> Found:
        first, second, third = looks[-3:]
        self._await_log(database, third.at)
        runs = open_runs(database)
        evidence = Evidence(
            (first, second, third),
            _dispatched(database),
            _begun(database, since=first.at),
            _executing(runs, before=second.at),
            contents,
        )
        standings = judge(runs, evidence)
        missing = stuck(self._fan_ins(database, first), evidence)
        return Found(standings, shortfalls(standings[Standing.EXPECTED], evidence), missing)

    def _fan_ins(self, database: psycopg.Connection[Any], first: Look) -> list[StuckFanIn]:
        return open_fan_ins(database, declared_before=first.at - self.fan_in_age)

    def _look(self, database: psycopg.Connection[Any]) -> Look:
        at = _moment(database, _NOW)
        assert at is not None  # noqa: S101  a clock always answers
        with broker_faults(self.settings), connect(self.settings, role="reconcile") as connection:
            return look(connection.channel(), self._api, at=at)

    def _read(self) -> frozenset[str]:
        with broker_faults(self.settings), connect(self.settings, role="reconcile") as connection:
            return read_contents(connection.channel())

    def _await_log(self, database: psycopg.Connection[Any], moment: datetime) -> None:
        """Wait until everything sent before ``moment`` is stored."""
        deadline = time.monotonic() + self.patience.total_seconds()
        while (passed := log_time(database)) is None or passed < moment:
            if time.monotonic() > deadline:
                raise LogBehindError(
                    f"log time stands at {passed or 'nothing'}, and this is about {moment}: is ingest running?"
                )
            time.sleep(_AGAIN_SECONDS)


def _in_question(runs: list[OpenRun], first: Look, dispatched: Mapping[Tier, int]) -> bool:
    """Whether there is any run that the log alone does not place."""
    return any(
        run.since < first.at
        and not run.is_before_dispatch(dispatched[run.tier])
        and run.place is not Place.LOG
        and not (run.place is Place.WORKER and process_of(run.worker) in first.processes)
        for run in runs
    )


def _dispatched(database: psycopg.Connection[Any]) -> dict[Tier, int]:
    """How far each lane of dispatch has come."""
    return {tier: Checkpoint.read(database, Lane(tier).place.follower, Log.TASKS) for tier in Tier}


def _begun(database: psycopg.Connection[Any], *, since: datetime) -> list[Begun]:
    with database.cursor(row_factory=namedtuple_row) as cursor:
        values = (SLOT_REQUESTED, TaskRequested.TOPIC, TaskStarted.TOPIC, since)
        rows: list[Any] = cursor.execute(_BEGUN.encode(), values).fetchall()
    return [
        Begun(TIER_OF_QUEUE[row.queue], row.priority, row.recorded_at, row.received_at, process_of(row.worker))
        for row in rows
        if row.queue in TIER_OF_QUEUE
    ]


def _executing(runs: list[OpenRun], *, before: datetime) -> Counter[Process]:
    """How many runs each worker had begun by then and has not finished yet."""
    processes = (process_of(run.worker) for run in runs if run.place is Place.WORKER and run.since < before)
    return Counter(process for process in processes if process is not None)


def _moment(database: psycopg.Connection[Any], query: str, *values: object) -> datetime | None:
    row = database.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]

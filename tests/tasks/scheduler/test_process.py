"""Of several scheduler processes one fires; when it is killed or cut off, another does, and no slot fires twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pika
import psycopg
import pytest

from domain.schedule_events import ScheduleFired
from domain.schedule_terms import CatchUp, Terms
from domain.tier import Tier
from domain.timetable import Interval, Once, next_slot
from infra.broker import topology
from infra.event_store import EventStore, Log
from infra.local.vhosts import Management
from infra.settings import Settings
from tests.tasks.processes import Process
from tests.tasks.scheduler.desk import Desk
from tests.waiting import eventually

EVERY_SECOND = "cleanup_zombie_sessions"
SIEGE = timedelta(seconds=float(os.environ.get("LAB_SIEGE_SECONDS", "20")))
ONCE = int(os.environ.get("LAB_ONCE", "20"))
"""Schedules that come once; ``LAB_ONCE=100000`` is the long version."""

pytestmark = [pytest.mark.system, pytest.mark.timeout(120 + SIEGE.total_seconds() * 2 + ONCE / 100)]


class Schedulers:
    """Scheduler processes on one platform, with a schedule that comes every second."""

    def __init__(self, settings: Settings, store: EventStore, directory: Path) -> None:
        self._settings = settings
        self._store = store
        self._directory = directory
        self.started: list[Process] = []

    def start(self, **changed: str) -> Process:
        log = self._directory / f"scheduler-{len(self.started)}.log"
        changed = {"LEDGERQ_SWEEP_INTERVAL_SECONDS": "1", **changed}
        process = Process("scheduler", self._settings, log=log, **changed)
        self.started.append(process)
        return process

    def fired(self) -> list[ScheduleFired]:
        """Every firing of the schedule that comes every second, in the order of the log."""
        page = self._store.read(Log.LICENSING, after=0, limit=10_000, names=(ScheduleFired.TOPIC,))
        events = [recorded.event for recorded in page.events]
        return [event for event in events if isinstance(event, ScheduleFired) and event.schedule == EVERY_SECOND]

    def fired_since(self, moment: datetime) -> bool:
        """Whether a slot that came after ``moment`` has been fired."""
        return any(event.slot_at > moment for event in self.fired())

    def somebody_stands_by(self) -> bool:
        """Whether a living process waits to take over."""
        return any(process.runs and process.stands_by and not process.leads for process in self.started)

    def leader(self) -> Process:
        """The living process that has come to lead; a former one has been killed."""
        living = [process for process in self.started if process.runs]
        eventually(lambda: any(process.leads for process in living))
        return max(living, key=lambda process: process.leads)


@pytest.fixture
def schedulers(fresh_platform: Settings, store: EventStore, tmp_path: Path) -> Iterator[Schedulers]:
    made = Schedulers(fresh_platform, store, tmp_path)
    yield made
    for process in made.started:
        process.kill()


@pytest.mark.chaos
def test_three_schedulers_whose_leaders_are_killed_fire_every_slot_exactly_once(
    schedulers: Schedulers, store: EventStore
) -> None:
    """Two schedules come every second: one catches up with all slots, the shipped one with the last.

    How soon another takes over is no more than the deadline of each wait: it depends on how busy this machine is.
    ``LAB_SIEGE_SECONDS=300`` is the long version.
    """
    desk, added_at = Desk(store), datetime.now(UTC)
    terms = Terms(task="sample.work", timetable=Interval(1.0), catch_up=CatchUp.ALL)
    desk.add("every_second", terms, at=added_at)
    for _ in range(3):
        schedulers.start()
    kills = 0
    while kills < 2 or datetime.now(UTC) < added_at + SIEGE:
        leader = schedulers.leader()
        now = datetime.now(UTC)
        eventually(lambda now=now: schedulers.fired_since(now))  # type: ignore[misc]
        eventually(schedulers.somebody_stands_by)
        leader.kill()
        schedulers.start()
        kills += 1
    now = datetime.now(UTC)
    eventually(lambda: schedulers.fired_since(now) and max(desk.fired("every_second")) > now)
    every = desk.fired("every_second")
    first = next_slot(terms.timetable, added_at)
    assert first is not None
    assert every == [first + timedelta(seconds=number) for number in range(len(every))]
    assert len(every) >= SIEGE.total_seconds()
    slots = [event.slot_at for event in schedulers.fired()]
    assert slots == sorted(set(slots))
    assert len(slots) >= kills


def test_a_leader_whose_session_is_cut_gives_way_and_no_slot_fires_twice(
    schedulers: Schedulers, fresh_platform: Settings
) -> None:
    for _ in range(2):
        schedulers.start()
    leader = schedulers.leader()
    with psycopg.connect(fresh_platform.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            b"select pg_terminate_backend(pid) from pg_stat_activity"
            b" where datname = current_database() and application_name like 'ledgerq leadership%'"
        )
    eventually(lambda: leader.gave_way)
    eventually(lambda: sum(process.log.count('"leading"') for process in schedulers.started) >= 2)
    now = datetime.now(UTC)
    eventually(lambda: schedulers.fired_since(now))
    slots = [event.slot_at for event in schedulers.fired()]
    assert len(slots) == len(set(slots))
    assert all(process.runs for process in schedulers.started)


def test_asked_to_stop_a_scheduler_stops_whether_it_leads_or_stands_by(schedulers: Schedulers) -> None:
    both = [schedulers.start(), schedulers.start()]
    eventually(lambda: any(process.leads for process in both) and any(process.stands_by for process in both))
    assert [process.stop() for process in both] == [0, 0]


def test_a_new_interval_in_the_settings_counts_from_the_next_start(schedulers: Schedulers, store: EventStore) -> None:
    schedulers.start(LEDGERQ_SWEEP_INTERVAL_SECONDS="3600")
    eventually(schedulers.fired)
    schedulers.started[0].stop()
    schedulers.start()
    now = datetime.now(UTC)
    eventually(lambda: schedulers.fired_since(now))
    changed = store.read(Log.LICENSING, after=0, limit=100, names=("schedule.changed",)).events
    assert [event.event.data()["terms"]["timetable"]["every_seconds"] for event in changed] == [1.0]


def test_what_is_to_happen_once_and_later_survives_a_wiped_broker(
    schedulers: Schedulers, servers: Settings, fresh_platform: Settings, store: EventStore, tmp_path: Path
) -> None:
    """Everything is lost that the broker had: virtual host, queues, messages, rights."""
    desk, names = Desk(store), [f"later-{number}" for number in range(ONCE)]
    url = fresh_platform.broker_url.get_secret_value()
    schedulers.start()
    with Process("dispatch", fresh_platform, log=tmp_path / "dispatch.log") as dispatch:
        eventually(lambda: dispatch.leads)
        schedulers.leader()
        now = datetime.now(UTC)
        at = now + timedelta(seconds=5 + ONCE / 1000)
        desk.add_all(names, Terms(task="sample.work", timetable=Once(at)), at=now)
        broker, vhost = Management(servers), pika.URLParameters(url).virtual_host
        broker.delete_vhost(vhost)
        broker.create_vhost(vhost)
        topology.apply(fresh_platform)
        assert not desk.times_fired(names)  # else this shows nothing
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel, queue, received = connection.channel(), Tier.NORMAL.queue, Counter[str]()
            for method, properties, _ in channel.consume(queue, auto_ack=True, inactivity_timeout=40 + ONCE / 1000):
                assert method is not None, f"{len(received)} of {ONCE} came"
                if properties.headers["task"] == "sample.work":  # not one of those shipped
                    received[properties.headers["id"]] += 1
                if len(received) == ONCE:
                    break
    assert set(received.values()) == {1}
    assert desk.times_fired(names) == dict.fromkeys(names, 1)

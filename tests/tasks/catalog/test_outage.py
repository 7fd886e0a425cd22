"""Ingest, the database or the broker is away for ten minutes, and nobody who sent what could be sent lapses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.session_events import SessionLapsed
from infra.broker import topology
from infra.broker.emitter import Emitter
from infra.cloudevents import CloudEvent, new_event
from infra.event_store import EventStore, Log
from infra.local.programs import find_rabbitmq
from infra.local.rabbitmq import RabbitMQNode
from infra.settings import Settings
from projections.queries import blind_windows
from tasks.catalog.judging import Judgement
from tasks.catalog.reading import read_models
from tasks.catalog.sessions import sweep
from tests.infra.broker.virtual_host import VirtualHost
from tests.tasks.catalog.fleet import CAUSE, Fleet
from tests.tasks.ingest.looking import Database
from tests.tasks.ingest.running import IngestProcess
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PINGING = [f"alive-{number}" for number in range(10_000)]
SILENT = [f"silent-{number}" for number in range(25)]
MINUTES = 10
SECOND = timedelta(seconds=1)


@pytest.fixture
def looking(fresh_platform: Settings) -> Iterator[Database]:
    with closing(VirtualHost(fresh_platform)) as host:
        host.purge()
    with closing(Database(fresh_platform)) as found:
        yield found


def said(kind: str, session_id: str, at: datetime, **data: str) -> CloudEvent:
    return new_event(f"session.{kind}", source="/tests", time=at, data={"session_id": session_id, **data})


def swept(fleet: Fleet) -> Judgement:
    fleet.project()
    return sweep(fleet.store, fleet.engine, cause=msgspec.structs.replace(CAUSE, id=uuid4()))


def reached(store: EventStore, moment: datetime) -> bool:
    passed = store.log_time()
    return passed is not None and passed > moment


def begun(emitter: Emitter, ingest: IngestProcess, looking: Database, store: EventStore, names: list[str]) -> None:
    """The sessions have started and sent a heartbeat each, and log time is past that."""
    ingest.begins()
    at = datetime.now(UTC)
    emitter.emit_batch([said("started", name, at, license_id="lic-1") for name in names])
    emitter.emit_batch([said("heartbeat", name, at) for name in names])
    eventually(lambda: looking.heartbeats("") == len(names), seconds=150)
    eventually(lambda: reached(store, at), seconds=60)


def sent(emitter: Emitter, names: list[str], since: datetime) -> None:
    """Ten minutes of heartbeats, one a minute."""
    for minute in range(1, MINUTES + 1):
        sent_at = since + timedelta(minutes=minute)
        emitter.emit_batch([said("heartbeat", name, sent_at) for name in names])


def ten_minutes_later(settings: Settings, directory: Path) -> IngestProcess:
    """Ingest again, with clocks that have gone on by ten minutes."""
    return IngestProcess(settings, directory, ahead_seconds=MINUTES * 60 + 5, watermark_interval_seconds=2)


def lived_through(settings: Settings, looking: Database, fleet: Fleet, directory: Path) -> tuple[datetime, int]:
    """Ten minutes without ingest, in which the pinging send a heartbeat every minute, while sweeps look all the time.

    Returns:
        log time when it was killed, and how many sweeps looked while it stored what had come meanwhile.
    """
    store, looks = fleet.store, 0

    def is_stored(heartbeats: int) -> bool:
        nonlocal looks
        assert swept(fleet).recorded == {}
        looks += looking.heartbeats("") < heartbeats
        return looking.heartbeats("") == heartbeats

    with Emitter(settings, role="test") as emitter:
        ingest = IngestProcess(settings, directory, watermark_interval_seconds=2)
        try:
            begun(emitter, ingest, looking, store, [*PINGING, *SILENT])
        finally:
            ingest.end()
        killed_at = store.log_time()
        assert killed_at is not None
        sent(emitter, PINGING, killed_at)
        assert swept(fleet).recorded == {}
        ingest = ten_minutes_later(settings, directory)
        try:
            heartbeats = (MINUTES + 1) * len(PINGING) + len(SILENT)
            eventually(lambda: is_stored(heartbeats), seconds=150)
            eventually(lambda: reached(store, killed_at + timedelta(minutes=MINUTES)), seconds=60)
        finally:
            ingest.end()
    return killed_at, looks


def test_ten_minutes_without_ingest_end_no_session(
    fresh_platform: Settings, looking: Database, fleet: Fleet, tmp_path: Path
) -> None:
    killed_at, looks = lived_through(fresh_platform, looking, fleet, tmp_path)
    assert looks > 0, "all was stored before a sweep could look"
    assert swept(fleet).recorded == {}
    with read_models(fleet.engine) as connection:
        windows = blind_windows(connection)
        away = connection.execute("select away from analytics.fct_blind_windows where blind_seconds > 500").fetchall()
    (since, until) = max(windows, key=lambda window: window.until - window.since)
    assert abs(since - killed_at) <= 2 * SECOND
    assert until - since >= timedelta(minutes=MINUTES)
    assert away == [("ingest",)]
    # The control: patience begins anew at the end of the window, and who stays silent lapses as of its true last sign.
    later = max(until, fleet.store.log_time() or until) + timedelta(minutes=5)
    beats = [Heartbeat(name, later) for name in PINGING]
    for part in range(0, len(beats), 5000):
        fleet.tell(HeartbeatsReceived.of(beats[part : part + 5000], batch_id=uuid4()), at=later)
    fleet.tell(WatermarkPassed.at(later + timedelta(minutes=2), marker_id=uuid4()), at=later)
    assert swept(fleet).recorded == {SessionLapsed.TOPIC: len(SILENT)}
    lapsed = fleet.events(SILENT[0])[-1]
    assert isinstance(lapsed, SessionLapsed)
    assert lapsed.timestamp < killed_at
    assert lapsed.patience_over_at is not None
    assert lapsed.patience_over_at >= until + timedelta(minutes=6)
    recorded = fleet.store.read(Log.LICENSING, after=0, limit=10**6, names=(SessionLapsed.TOPIC,)).events
    assert all(each.event.originator_id.startswith("session-silent") for each in recorded)


def test_ten_minutes_without_the_database_end_no_session(
    servers: Settings, fresh_platform: Settings, looking: Database, fleet: Fleet, tmp_path: Path
) -> None:
    names = PINGING[:500]
    with Emitter(fresh_platform, role="test") as emitter, database_switch(servers, fresh_platform) as switch:
        ingest = IngestProcess(fresh_platform, tmp_path, watermark_interval_seconds=2)
        try:
            begun(emitter, ingest, looking, fleet.store, names)
            since = fleet.store.log_time()
            assert since is not None
            switch(is_on=False)
            sent(emitter, names, since)
            eventually(lambda: ingest.says("the database cannot store just now"), seconds=60)
        finally:
            ingest.end()
        assert looking.heartbeats("") == len(names)
        switch(is_on=True)
        ingest = ten_minutes_later(fresh_platform, tmp_path)
        try:
            eventually(lambda: looking.heartbeats("") == (MINUTES + 1) * len(names), seconds=150)
            eventually(lambda: reached(fleet.store, since + timedelta(minutes=MINUTES)), seconds=60)
        finally:
            ingest.end()
    assert swept(fleet).recorded == {}


def test_ten_minutes_in_which_the_broker_is_dead_end_no_session(
    fresh_platform: Settings, looking: Database, fleet: Fleet, tmp_path: Path
) -> None:
    """Nobody can send anything then. Whoever sends again lives, and whoever does not lapses."""
    names = [*PINGING[:500], *SILENT]
    node = RabbitMQNode(tmp_path / "node", mark=tmp_path, password="outage", programs=find_rabbitmq())  # noqa: S106
    node.start()
    try:
        addresses = {"broker_url": SecretStr(node.broker_url), "management_url": SecretStr(node.management_url)}
        settings = fresh_platform.model_copy(update=addresses)
        topology.apply(settings)
        ingest = IngestProcess(settings, tmp_path, watermark_interval_seconds=2)
        try:
            with Emitter(settings, role="test") as emitter:
                begun(emitter, ingest, looking, fleet.store, names)
                since = fleet.store.log_time()
                assert since is not None
                node.kill()
            eventually(lambda: ingest.says("the broker is out of reach"), seconds=60)
        finally:
            ingest.end()
        node.start(keep_data=True)
        ingest = ten_minutes_later(settings, tmp_path)
        try:
            eventually(lambda: reached(fleet.store, since + timedelta(minutes=MINUTES)), seconds=90)
            assert swept(fleet).recorded == {}
            again = since + timedelta(minutes=MINUTES, seconds=10)
            with Emitter(settings, role="test") as emitter:
                emitter.emit_batch([said("heartbeat", name, again) for name in PINGING[:500]])
            eventually(lambda: looking.heartbeats("") == len(names) + 500, seconds=60)
        finally:
            ingest.end()
    finally:
        node.kill()
    later = again + timedelta(minutes=6)
    fleet.tell(HeartbeatsReceived.of([Heartbeat(name, later) for name in PINGING[:500]], batch_id=uuid4()), at=later)
    fleet.tell(WatermarkPassed.at(later + timedelta(minutes=3), marker_id=uuid4()), at=later)
    assert swept(fleet).recorded == {SessionLapsed.TOPIC: len(SILENT)}


@contextmanager
def database_switch(servers: Settings, settings: Settings) -> Iterator[Callable[..., None]]:
    """Lets nobody into the platform's database, and ends ingest's sessions there; on again at the end."""
    name = psycopg.conninfo.conninfo_to_dict(settings.database_url.get_secret_value())["dbname"]
    with psycopg.connect(servers.database_url.get_secret_value(), autocommit=True) as administrator:

        def switch(*, is_on: bool) -> None:
            allow = sql.SQL("alter database {} with allow_connections {}")
            administrator.execute(allow.format(sql.Identifier(str(name)), sql.Literal(is_on)))
            if not is_on:
                sessions = "from pg_stat_activity where datname = %s and application_name = 'ledgerq ingest'"
                administrator.execute(f"select pg_terminate_backend(pid) {sessions}", (name,))

        try:
            yield switch
        finally:
            switch(is_on=True)

"""Ingest is killed, the sessions go on sending heartbeats, and nobody who did is declared dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.session_events import SessionLapsed
from infra.broker.emitter import Emitter
from infra.cloudevents import CloudEvent, new_event
from infra.event_store import EventStore, Log
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


def lived_through(settings: Settings, looking: Database, store: EventStore, directory: Path) -> datetime:
    """Ten minutes without ingest, in which the pinging send a heartbeat every minute; log time when it was killed."""
    with Emitter(settings, role="test") as emitter:
        ingest = IngestProcess(settings, directory, watermark_interval_seconds=2)
        try:
            begun = datetime.now(UTC)
            emitter.emit_batch([said("started", name, begun, license_id="lic-1") for name in [*PINGING, *SILENT]])
            emitter.emit_batch([said("heartbeat", name, begun) for name in [*PINGING, *SILENT]])
            eventually(lambda: looking.heartbeats("") == len(PINGING) + len(SILENT), seconds=150)
            eventually(lambda: reached(store, begun), seconds=60)
        finally:
            ingest.end()
        killed_at = store.log_time()
        assert killed_at is not None
        for minute in range(1, MINUTES + 1):
            sent_at = killed_at + timedelta(minutes=minute)
            emitter.emit_batch([said("heartbeat", name, sent_at) for name in PINGING])
        seconds = MINUTES * 60 + 5
        ingest = IngestProcess(settings, directory, ahead_seconds=seconds, watermark_interval_seconds=2)
        try:
            heartbeats = (MINUTES + 1) * len(PINGING) + len(SILENT)
            eventually(lambda: looking.heartbeats("") == heartbeats, seconds=150)
            eventually(lambda: reached(store, killed_at + timedelta(minutes=MINUTES)), seconds=60)
        finally:
            ingest.end()
    return killed_at


def test_ten_minutes_without_ingest_end_no_session(
    fresh_platform: Settings, looking: Database, fleet: Fleet, tmp_path: Path
) -> None:
    killed_at = lived_through(fresh_platform, looking, fleet.store, tmp_path)
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

"""A database from before sessions had rules: its rows are brought along, and nothing that is past is judged anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from domain.blindness import BlindWindowPassed
from domain.heartbeat import WatermarkPassed
from infra import database
from infra.event_store import EventStore, Log
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.rebuild import rebuild
from projections.silences import silent_sessions
from tests.infra.databases import fresh_database
from tests.projections.histories import at, minted
from tests.projections.world import World

BEFORE = "0032"
"""The migration before sessions had rules."""
EVENT = """
    insert into event_store.{log} (stream_id, version, name, occurred_at, recorded_at, event_id, metadata, data)
    values (%s, %s, %s, %s, %s, %s, '{{"actor": "urn:desk"}}', %s)
"""
ROW = """
    insert into read_model.sessions (session_id, license_id, state, started_at, patience_seconds, ended_at, end_reason,
        lapse_judged_at, lapses, last_heartbeat_at, last_heard_at, heartbeat_count)
    values (%s, 'l1', %s, %s, 360, %s, %s, %s, %s, %s, %s, %s)
"""
COLUMNS = """
    select session_id, state, policy, heartbeat_interval_seconds, monitoring_starts, on_lapse, resurrection, lapsed_at,
           patience_over_at, ended_at, ended_by, end_reason
    from read_model.sessions order by 1
"""


def tell(connection: psycopg.Connection[Any]) -> None:
    """Three sessions; in log time all were silent for an hour, in which nobody knows whether they could have sent."""

    def event(log: str, stream: str, version: int, name: str, seconds: float, data: dict[str, Any]) -> None:
        values = (stream, version, name, at(seconds), at(seconds), uuid4(), Jsonb(data))
        connection.execute(EVENT.format(log=log).encode(), values)

    for name in ("active", "ended", "lapsed"):
        data = {"session_id": name, "license_id": "l1", "patience_seconds": 360, "host": None}
        event("licensing_events", f"session-{name}", 1, "session.started", 0, data)
    event("licensing_events", "session-ended", 2, "session.ended", 90, {"reason": "signed out"})
    judged = {"judged_at": at(500).isoformat()}
    event("licensing_events", "session-lapsed", 2, "session.lapsed", 60, judged)
    beats = {"session_ids": ["active", "ended", "lapsed"], "offsets_ms": [0, 0, 0]}
    event("heartbeat_events", "heartbeats-1", 1, "session.heartbeats_received", 60, beats)
    event("heartbeat_events", "watermark-1", 1, WatermarkPassed.TOPIC, 3600, {})
    again = {"session_ids": ["active"], "offsets_ms": [0]}
    event("heartbeat_events", "heartbeats-2", 1, "session.heartbeats_received", 3601, again)


@pytest.fixture
def upgraded(servers: Settings) -> Iterator[World]:
    """What the release before left of them, migrated."""
    with fresh_database(servers) as settings:
        database.migrate(settings, to=BEFORE)
        with database.connect(settings, name="test") as connection:
            tell(connection)
            heard = (at(60), at(60), 1)
            connection.execute(ROW, ("active", "active", at(0), None, None, None, 0, at(3601), at(3601), 2))
            connection.execute(ROW, ("ended", "ended", at(0), at(90), "signed out", None, 0, *heard))
            connection.execute(ROW, ("lapsed", "lapsed", at(0), at(60), None, at(500), 1, *heard))
            connection.execute("insert into read_model.log_time (log_time) values (%s)", (at(3600),))
            connection.execute("""
                insert into event_store.checkpoints (follower, log, position)
                select 'projection.sessions', 'licensing', max(position) from event_store.licensing_events
                union all
                select 'projection.sessions', 'heartbeats', max(position) from event_store.heartbeat_events
            """)
        database.migrate(settings)
        engine = database.engine(settings, name="test")
        url = settings.database_url.get_secret_value()
        with EventStore(url, name="test") as store, engine.connect() as connected:
            yield World(store, connected)
        engine.dispose()


def test_an_upgrade_brings_rows_along_as_a_rebuild_would(upgraded: World) -> None:
    rows = upgraded.rows(COLUMNS)
    assert {row["resurrection"] for row in rows} == {"10_minutes"}
    assert [row["ended_by"] for row in rows] == [None, "urn:desk", None]
    upgraded.catch_up("sessions")
    assert upgraded.rows(COLUMNS) == rows
    rebuild(upgraded.connection, PROJECTIONS["sessions"], store=upgraded.store, batch_events=10)
    assert upgraded.rows(COLUMNS) == rows


@pytest.mark.parametrize("rebuilt", [False, True], ids=["as upgraded", "rebuilt"])
def test_a_silence_of_before_the_upgrade_ends_nobody_after_it(upgraded: World, rebuilt: bool) -> None:  # noqa: FBT001
    marker = minted("marker")
    begins = BlindWindowPassed.between(None, at(3700), marker_id=marker)
    upgraded.record(Log.HEARTBEATS, begins, WatermarkPassed.at(at(3700), marker_id=marker))
    upgraded.catch_up("sessions")
    if rebuilt:
        rebuild(upgraded.connection, PROJECTIONS["sessions"], store=upgraded.store, batch_events=10)
    assert silent_sessions(upgraded.psycopg, limit=9) == []
    assert len(upgraded.rows("select * from analytics.fct_blind_windows where since_at is null")) == 1

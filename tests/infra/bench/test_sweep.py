"""The benchmark of the sweep lets every session lapse that it made."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg

from infra.bench.sweep import SweepBench
from infra.settings import Settings


def test_every_session_that_was_silent_has_lapsed_and_is_counted(platform: Settings, tmp_path: Path) -> None:
    url = platform.database_url.get_secret_value()
    environment = {
        **os.environ,
        "LEDGERQ_BROKER_URL": platform.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": url,
    }

    figures = SweepBench(platform, tmp_path, environment).measure(sessions=1000, tell=lambda _line: None)

    assert figures["sweep_100k_seconds"] > 0
    with psycopg.connect(url) as connection:
        query = "select count(*) from event_store.licensing_events where name = 'session.lapsed'"
        assert connection.execute(query).fetchall() == [(1000,)]

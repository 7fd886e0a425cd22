"""The benchmark of dispatch: everyone fills the queue with as many messages, and dispatch records its own."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg

from infra.bench.dispatch import DispatchBench
from infra.settings import Settings


def test_dispatch_and_its_peers_each_publish_what_is_asked_of_them(platform: Settings, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "LEDGERQ_BROKER_URL": platform.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": platform.database_url.get_secret_value(),
    }
    figures = DispatchBench(platform, tmp_path, environment).measure(runs=1000, rounds=1, tell=lambda _line: None)

    assert all(rate > 0 for rate in figures.values())
    assert {"dispatch_vs_apply_async", "dispatch_vs_confirmed_apply_async"} <= figures.keys()
    with psycopg.connect(platform.database_url.get_secret_value()) as connection:
        query = "select count(*) from event_store.task_events where name = 'task.published'"
        assert connection.execute(query).fetchall() == [(1000,)]

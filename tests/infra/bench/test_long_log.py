"""The long log is filled with stories that can be asked for, and every way to ask finds what it asks for."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from infra import database
from infra.bench import lookups
from infra.bench.long_log import LongLogBench
from infra.bench.stories import EVENTS_OF_A_RUN, runs
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tests.infra.databases import fresh_database


@pytest.fixture
def settings(servers: Settings) -> Iterator[Settings]:
    with fresh_database(servers) as settings:
        database.migrate(settings)
        yield settings


def test_the_log_is_filled_and_asked_when_it_is_full(settings: Settings) -> None:
    bench = LongLogBench(settings, events=120_000, commits=1, rounds=1, samples=50, tell=lambda _line: None)
    figures = bench.measure()
    bench.close()

    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        ((events, stories),) = connection.execute(
            "select count(*), count(distinct metadata ->> 'correlation_id') from event_store.task_events"
        ).fetchall()
    assert figures["ten_million_events"] == events > 100_000
    assert events == EVENTS_OF_A_RUN * int(str(stories))
    assert all(value > 0 for value in figures.values())
    assert {"append_ten_million_vs_start", "read_stream_p99_ms", "read_correlation_p99_ms", "read_range_p99_ms"} <= (
        figures.keys()
    )


def test_a_way_to_ask_that_finds_nothing_gives_no_figure(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventStore(settings.database_url.get_secret_value(), name="test") as store:
        store.append(Log.TASKS, runs(8))
    assert lookups.measure(settings, Log.TASKS, samples=3, seed=1).keys() >= {"read_range_p50_ms"}

    monkeypatch.setattr("infra.events.reading.LogReader.correlation", lambda *_arguments, **_options: [])
    with pytest.raises(RuntimeError, match="nothing was found"):
        lookups.measure(settings, Log.TASKS, samples=3, seed=1)

"""The benchmark of the store compares what is comparable: the same rows, all of them stored, by everyone."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from infra import database
from infra.bench.contest import Contender, WriterFailedError, medians, race
from infra.bench.raw import raw_table
from infra.bench.store import StoreBench, StoreWriter
from infra.bench.writing import Stint
from infra.event_store import Log
from infra.settings import Settings
from tests.infra.databases import fresh_database


@pytest.fixture(scope="module")
def url(servers: Settings) -> Iterator[str]:
    with fresh_database(servers) as settings:
        database.migrate(settings)
        yield settings.database_url.get_secret_value()


@pytest.fixture(scope="module")
def bench(url: str) -> StoreBench:
    return StoreBench(url, scale=0.01, rounds=3, tell=lambda _line: None)


def columns(url: str, table: sql.Identifier) -> list[tuple[object, ...]]:
    """What kinds of rows a table holds: names, keys of data and metadata, and how many."""
    query = """
        select name, array(select jsonb_object_keys(data)), array(select jsonb_object_keys(metadata)), count(*)
        from {} group by 1, 2, 3 order by 1
    """
    with psycopg.connect(url) as connection:
        return connection.execute(sql.SQL(query).format(table)).fetchall()


def test_everyone_stores_as_many_of_the_same_rows(url: str, bench: StoreBench) -> None:
    figures = bench.append_batch()

    ours = columns(url, sql.Identifier("event_store", Log.LICENSING.table))
    assert ours == columns(url, raw_table(Log.LICENSING))
    with psycopg.connect(url) as connection:
        ((library,),) = connection.execute("select count(*) from application_events").fetchall()
    assert 0 < int(str(library)) <= int(str(ours[0][3]))  # it does a part of the work
    assert figures["append_batch_vs_raw"] > 0
    assert figures["append_batch_vs_library"] > 0


def test_the_raw_table_has_all_indexes_of_the_log(url: str, bench: StoreBench) -> None:
    query = """
        select regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '') from pg_index where indrelid = %s::regclass
    """
    with psycopg.connect(url) as connection:
        ours, theirs = (
            sorted(connection.execute(query, (table,)).fetchall())
            for table in ("event_store.task_events", raw_table(Log.TASKS).as_string(connection))
        )

    assert bench
    assert ours == theirs


def test_a_share_of_what_is_told_of_runs_was_told_before(url: str, bench: StoreBench) -> None:
    figures = bench.append_lifecycle()

    with psycopg.connect(url) as connection:
        ((stored, distinct),) = connection.execute(
            "select count(*), count(distinct event_id) from event_store.task_events"
        ).fetchall()
    assert stored == distinct
    assert {"append_lifecycle_vs_raw", "append_lifecycle_10_vs_raw", "append_lifecycle_100_vs_raw"} <= figures.keys()


def test_a_heartbeat_is_stored_in_less_than_a_row_of_its_own(bench: StoreBench) -> None:
    figures = bench.heartbeats()

    assert 36 < figures["heartbeat_bytes"] < 200  # its session's name alone has 36


def test_the_ratio_is_taken_within_a_round_and_to_the_better_limit() -> None:
    found = [
        {"ours": 10.0, "a": 20.0, "b": 40.0},
        {"ours": 30.0, "a": 60.0, "b": 40.0},
        {"ours": 9.0, "a": 9.0, "b": 1.0},
    ]

    figures = medians("ours", found, raw=("a", "b"))

    assert figures == {"per_second": 10.0, "raw_per_second": 40.0, "vs_raw": 0.5}


def test_a_writer_that_cannot_write_ends_the_race(url: str) -> None:
    nowhere = psycopg.conninfo.make_conninfo(url, port=1)
    with pytest.raises(WriterFailedError):
        race(nowhere, {"ours": Contender(StoreWriter)}, Stint(1, 1), rounds=1, tell=lambda _line: None)

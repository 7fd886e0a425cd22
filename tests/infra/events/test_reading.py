from __future__ import annotations

import pytest
from psycopg.sql import SQL, Identifier

from infra.event_store import EventStore, Log
from infra.events.reading import Logged, LogReader, Place, Which
from infra.events.tailing import PAGE_EVENTS, Tail
from tests.infra.event_store.facts import facts
from tests.infra.events.conftest import Connection
from tests.infra.events.happenings import at, beats, license_issued, record, recorded_at, started, told


@pytest.fixture
def reader(connection: Connection) -> LogReader:
    return LogReader(connection)


def positions(found: list[Logged]) -> list[int]:
    return [each.row.position for each in found]


def names(found: list[Logged]) -> list[str]:
    return [each.row.name for each in found]


def set_forward(connection: Connection, log: Log, *, by: int) -> None:
    """Leave a hole in a log's positions."""
    connection.execute(
        SQL("select setval({}, nextval({}) + %s)").format(*[f"event_store.{log.table}_position_seq"] * 2), (by,)
    )


def test_what_is_not_final_is_not_shown(store: EventStore, reader: LogReader) -> None:
    (first,) = record(store, Log.TASKS, started("a"), correlation_id="c")
    tail = Tail(reader, [Log.TASKS], Which())
    with store.transaction() as open_transaction:
        open_transaction.append(Log.TASKS, facts("slow", [1]))
        (later,) = record(store, Log.TASKS, started("b"), correlation_id="c")  # committed, behind an open one
        assert positions(list(tail.look())) == [1]
        assert reader.event(later.event_id) == []
        assert list(reader.stream(Log.TASKS, "task_run-b", limit=10)) == []
        assert positions(reader.correlation("c", limit=10)) == [1]
        assert positions(tail.last(10)[0]) == [1]
    tail = Tail(reader, [Log.TASKS], Which())
    assert positions(list(tail.look())) == [1, 2, 3]
    assert positions(reader.event(later.event_id)) == [3]
    assert positions(reader.event(first.event_id)) == [1]


def test_a_story_is_told_over_all_logs_in_order_of_time(store: EventStore, reader: LogReader) -> None:
    record(store, Log.TASKS, told("a", "succeeded", 30, attempt=1), started("a", 20), correlation_id="story")
    record(store, Log.LICENSING, license_issued("l1", 10), correlation_id="story")
    record(store, Log.HEARTBEATS, beats("s1", seconds=25), correlation_id="story")
    record(store, Log.TASKS, started("b", 15), correlation_id="another story")
    found = reader.correlation("story", limit=10)
    assert names(found) == ["license.issued", "task.started", "session.heartbeats_received", "task.succeeded"]


def test_a_stream_is_whole_however_small_the_pages(store: EventStore, reader: LogReader) -> None:
    store.append(Log.TASKS, facts("long", range(1, 24)))
    store.append(Log.TASKS, facts("longer", range(1, 3)))
    found = list(reader.stream(Log.TASKS, "long", limit=5))
    assert [each.row.version for each in found] == list(range(1, 24))


def test_rare_events_are_found_behind_a_hole_that_is_larger_than_a_stretch(
    store: EventStore, connection: Connection, reader: LogReader
) -> None:
    record(store, Log.TASKS, started("a"))
    set_forward(connection, Log.TASKS, by=10**12)  # no number of stretches would get there
    record(store, Log.TASKS, told("a", "succeeded", attempt=1))
    tail = Tail(reader, [Log.TASKS], Which(names=("task.succ*",)))
    assert names(list(tail.look())) == ["task.succeeded"]
    tail = Tail(reader, [Log.TASKS], Which(names=("task.started",)))
    found, is_everything = tail.last(10)
    assert (names(found), is_everything) == (["task.started"], True)


def test_what_was_recorded_since_a_moment_is_found_among_many(
    store: EventStore, connection: Connection, reader: LogReader
) -> None:
    for number in range(40):
        record(store, Log.TASKS, started(f"r{number}"))
        if number % 7 == 0:
            set_forward(connection, Log.TASKS, by=1000)
    known = positions(list(Tail(reader, [Log.TASKS], Which()).look()))
    for number, position in enumerate(known):
        recorded_at(connection, Log.TASKS, position, at(60 * number))
    for number in (0, 1, 20, 39):
        since = at(60 * number)
        tail = Tail(reader, [Log.TASKS], Which(since=since))
        tail.begin_since(since)
        assert positions(list(tail.look())) == known[number:]
        begin = reader.position_before(Log.TASKS, since, upto=known[-1])
        assert begin >= (known[number - 1] if number else 0), "it looks at no more than it has to"
    tail = Tail(reader, [Log.TASKS], Which(since=at(60 * 40)))
    tail.begin_since(at(60 * 40))
    assert list(tail.look()) == []


def test_what_was_recorded_since_is_told_whatever_the_clock_did(
    store: EventStore, connection: Connection, reader: LogReader
) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(4)))
    for position, seconds in enumerate((3600, 9, 10, 7200), start=1):  # set back by an hour, and forward by two
        recorded_at(connection, Log.TASKS, position, at(seconds))
    tail = Tail(reader, [Log.TASKS], Which(since=at(10)))
    tail.begin_since(at(10))
    assert positions(list(tail.look())) == [3, 1, 4]


def test_what_was_recorded_earlier_is_not_read(store: EventStore, connection: Connection, reader: LogReader) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(200)))
    with connection.transaction():
        connection.execute("set local ledgerq.maintenance = on")
        connection.execute(
            "update event_store.task_events set recorded_at = %s + position * interval '1 second'", (at(0),)
        )
    with connection.transaction():
        connection.execute("set local enable_seqscan = off")
        found, more = reader.by_time(Log.TASKS, Place(at(190)), upto=200, limit=5, which=Which())
        ((fetched,),) = connection.execute(
            "select sum(idx_tup_fetch) from pg_stat_xact_all_tables where relname = 'task_events'"
        ).fetchall()
    assert positions(found) == [190, 191, 192, 193, 194]
    assert more == Place(at(194), 194)
    assert int(str(fetched)) < 20


def test_what_follows_the_past_is_told_once(store: EventStore, connection: Connection, reader: LogReader) -> None:
    record(store, Log.TASKS, started("a"), started("b"))
    recorded_at(connection, Log.TASKS, 1, at(0))
    tail = Tail(reader, [Log.TASKS], Which(since=at(1)))
    tail.begin_since(at(1))
    assert positions(list(tail.look())) == [2]
    record(store, Log.TASKS, started("c"))
    assert positions(list(tail.look())) == [3]
    assert list(tail.look()) == []


def test_a_rare_event_of_the_past_is_found_stretch_by_stretch(
    store: EventStore, connection: Connection, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(20)), started("wanted"), started("r21"))
    for position in range(1, 23):
        recorded_at(connection, Log.TASKS, position, at(0))  # all at once: the position tells them apart
    monkeypatch.setattr("infra.events.reading.STRETCH_POSITIONS", 3)
    monkeypatch.setitem(PAGE_EVENTS, Log.TASKS, 2)
    for prefix, expected in (("task_run-wanted", [21]), ("task_run-r", [*range(1, 21), 22]), ("nobody", [])):
        tail = Tail(reader, [Log.TASKS], Which(stream_prefix=prefix))
        tail.begin_since(at(0))
        assert positions(list(tail.look())) == expected


def test_several_logs_are_merged_in_order_of_recording(
    store: EventStore, connection: Connection, reader: LogReader
) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(4)))
    record(store, Log.HEARTBEATS, *(beats(f"s{number}") for number in range(4)))
    for number in range(4):
        recorded_at(connection, Log.TASKS, number + 1, at(number * 10))
        recorded_at(connection, Log.HEARTBEATS, number + 1, at(number * 10 + 5))
    found = list(Tail(reader, list(Log), Which()).look())
    assert [each.log for each in found] == [Log.TASKS, Log.HEARTBEATS] * 4
    last, is_everything = Tail(reader, list(Log), Which()).last(3)
    assert ([each.log for each in last], is_everything) == ([Log.HEARTBEATS, Log.TASKS, Log.HEARTBEATS], True)


def test_a_tail_tells_each_event_once(store: EventStore, reader: LogReader) -> None:
    tail = Tail(reader, [Log.TASKS], Which(stream_prefix="task_run-a"))
    record(store, Log.TASKS, started("a1"), started("b1"))
    assert positions(list(tail.look())) == [1]
    assert list(tail.look()) == []
    record(store, Log.TASKS, started("a2"))
    assert positions(list(tail.look())) == [3]


def test_a_name_is_taken_literally_but_for_its_asterisks(store: EventStore, reader: LogReader) -> None:
    store.append(Log.TASKS, facts("s", [1]))
    assert list(Tail(reader, [Log.TASKS], Which(names=("ingest_watermark%",))).look()) == []
    assert list(Tail(reader, [Log.TASKS], Which(names=("ingest.watermark_pass",))).look()) == []
    assert len(list(Tail(reader, [Log.TASKS], Which(names=("*watermark_*",))).look())) == 1


@pytest.mark.parametrize("log", Log)
def test_every_question_goes_by_an_index(connection: Connection, log: Log) -> None:
    """However few rows there are: the planner may not scan, and must find an index that answers."""
    explain = SQL("explain select * from {} where {}")
    connection.execute("set enable_seqscan = off")
    for condition in (
        SQL("event_id = '00000000-0000-0000-0000-000000000000'"),
        SQL("stream_id = 'x' and version > 1"),
        SQL("metadata->>'correlation_id' = 'x'"),
        SQL("position > 5 and position <= 10"),
    ):
        query = explain.format(Identifier("event_store", log.table), condition)
        assert "Index Cond" in str(connection.execute(query).fetchall()), condition

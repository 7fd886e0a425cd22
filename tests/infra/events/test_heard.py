from __future__ import annotations

from infra.event_store import EventStore, Log
from infra.events.heard import Heard, Span, heard
from tests.infra.events.conftest import Connection
from tests.infra.events.happenings import at, beats, record

ALWAYS = Span(at(-86_400), None)


def hear(store: EventStore, connection: Connection, *seconds: float) -> None:
    """A heartbeat of a session at each of these times, in a batch with others, recorded when it was sent."""
    for each in seconds:
        record(store, Log.HEARTBEATS, beats("other", "s1", "another", seconds=each))
    with connection.transaction():
        connection.execute("set local ledgerq.maintenance = on")
        connection.execute("update event_store.heartbeat_events set recorded_at = occurred_at")


def test_only_what_is_newer_than_all_before_it_is_news(store: EventStore, connection: Connection) -> None:
    hear(store, connection, 10, 30, 20, 40)
    assert heard(connection, "s1", ALWAYS) == Heard(news=3, last_at=at(40))
    assert heard(connection, "nobody", ALWAYS) == Heard(news=0, last_at=None)


def test_the_span_is_of_recording_and_has_both_its_ends(store: EventStore, connection: Connection) -> None:
    hear(store, connection, 10, 20, 30, 40)
    assert heard(connection, "s1", Span(at(20), at(30))) == Heard(news=2, last_at=at(30))
    assert heard(connection, "s1", Span(at(20.001), at(29.999))) == Heard()


def test_heartbeats_that_bear_a_later_time_do_not_count(store: EventStore, connection: Connection) -> None:
    hear(store, connection, 10, 20)
    assert heard(connection, "s1", ALWAYS, upto=at(19)) == Heard(news=1, last_at=at(10))


def test_a_hole_in_the_log_is_passed_over(store: EventStore, connection: Connection) -> None:
    hear(store, connection, 10)
    sequence = "event_store.heartbeat_events_position_seq"
    connection.execute("select setval(%s::regclass, nextval(%s::regclass) + %s)", (sequence, sequence, 10**12))
    record(store, Log.HEARTBEATS, beats("s1", seconds=20))
    assert heard(connection, "s1", ALWAYS) == Heard(news=2, last_at=at(20))


def test_batches_that_were_recorded_at_other_times_are_not_looked_at(store: EventStore, connection: Connection) -> None:
    hear(store, connection, *range(0, 3000, 100))
    looked_at = (
        "select idx_tup_fetch from pg_stat_xact_all_tables where relid = 'event_store.heartbeat_events'::regclass"
    )
    with connection.transaction():
        connection.execute("set local enable_seqscan = off")
        assert heard(connection, "s1", Span(at(1000), at(1200))) == Heard(news=3, last_at=at(1200))
        ((fetched,),) = connection.execute(looked_at).fetchall()
    assert int(str(fetched)) < 15

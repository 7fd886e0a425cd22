"""Who holds a seat follows from the log: the table is what the log says, whoever appends and in whatever pieces."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.aggregate import Event
from domain.cause import Cause
from domain.license import License
from domain.license_policy import LicensePolicy, OnLapse, Resurrection
from domain.session import Session, Silence
from domain.session_events import SessionResumed, SessionState
from infra import database
from infra.event_store import EventStore, Log, caused
from infra.event_store.seats import SeatDifference, lock_licenses, mend_seats, seat_differences, taken_seats
from infra.settings import Settings
from tests.infra.databases import fresh_database, someone_waits_for_a_lock
from tests.waiting import eventually

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BEFORE = next(
    re.findall(r'down_revision = "(\d+)"', file.read_text())[0]
    for file in (Path(__file__).parents[3] / "infra" / "migrations" / "versions").glob("*_seats.py")
)
"""The schema before there was a table of seats."""
Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def place(servers: Settings) -> Iterator[Settings]:
    with fresh_database(servers) as made:
        database.migrate(made)
        yield made


@pytest.fixture(scope="module")
def store(place: Settings) -> Iterator[EventStore]:
    with EventStore(place.database_url.get_secret_value(), connections=4, name="test seats") as opened:
        yield opened


@pytest.fixture(scope="module")
def connection(place: Settings) -> Iterator[Connection]:
    with database.connect(place, name="test") as opened:
        yield opened


def issued(store: EventStore, *, on_lapse: OnLapse = OnLapse.END) -> License:
    policy = LicensePolicy(on_lapse=on_lapse, resurrection=Resurrection.ALWAYS)
    license_ = License.issue(f"lic-{uuid4()}", valid_until=NOON + timedelta(days=9), at=NOON, seats=10, policy=policy)
    record(store, license_)
    return license_


def started(license_: License) -> Session:
    return Session.start(f"ses-{uuid4()}", under=license_, default_patience=6 * MINUTE, at=NOON)


def lapse(session: Session, at: datetime = NOON) -> None:
    """Its heartbeats stopped then."""
    session.lapse(Silence(at + 7 * MINUTE, last_heartbeat_at=at))


def facts(aggregate: License | Session) -> list[Event]:
    return [event for event in aggregate.collect_events() if isinstance(event, Event)]


def record(store: EventStore, *aggregates: License | Session) -> None:
    """Append what is new of them, in one statement."""
    events = [event for each in aggregates for event in facts(each)]
    store.append(Log.LICENSING, caused(events, Cause(id=uuid4(), at=NOON, actor="test")))


def taken(connection: Connection, license_: License) -> int:
    return taken_seats(connection, [license_.license_id]).get(license_.license_id, 0)


def test_a_seat_is_held_from_the_start_to_the_lapse_and_from_the_resumption_to_the_end(
    store: EventStore, connection: Connection
) -> None:
    license_ = issued(store)
    session, other = started(license_), started(license_)
    record(store, session, other)
    assert taken(connection, license_) == 2
    lapse(session)
    record(store, session)
    assert taken(connection, license_) == 1
    session.resume(heartbeat_at=NOON + 8 * MINUTE)
    record(store, session)
    assert taken(connection, license_) == 2
    session.end(reason="signed out", at=NOON + 9 * MINUTE)
    record(store, session)
    assert taken(connection, license_) == 1
    assert seat_differences(connection) == []


def test_a_session_whose_rules_keep_its_seat_holds_it_until_it_ends(store: EventStore, connection: Connection) -> None:
    license_ = issued(store, on_lapse=OnLapse.KEEP)
    session = started(license_)
    lapse(session)
    record(store, session)
    assert taken(connection, license_) == 1
    session.resume(heartbeat_at=NOON + 8 * MINUTE)
    record(store, session)
    assert taken(connection, license_) == 1
    session.end(reason="signed out", at=NOON + 9 * MINUTE)
    record(store, session)
    assert taken(connection, license_) == 0
    assert seat_differences(connection) == []


def test_of_several_events_of_a_session_in_one_statement_the_last_counts(
    store: EventStore, connection: Connection
) -> None:
    license_ = issued(store)
    gone, back = started(license_), started(license_)
    gone.end(reason="signed out", at=NOON)
    lapse(back)
    back.resume(heartbeat_at=NOON + 8 * MINUTE)
    record(store, gone, back)
    assert taken(connection, license_) == 1


def test_what_is_told_of_a_session_without_a_beginning_is_stored_and_takes_no_seat(
    store: EventStore, connection: Connection
) -> None:
    """An archive that is restored in part, or a log that was cut: the table must keep no event out."""
    session = started(issued(store))
    session.end(reason="signed out", at=NOON)
    _, ended = facts(session)
    back = SessionResumed(originator_id=f"session-{uuid4()}", originator_version=3, timestamp=NOON)
    store.append(Log.LICENSING, caused([ended, back], Cause(id=uuid4(), at=NOON, actor="test")))
    assert seat_differences(connection) == []


def test_what_is_told_twice_takes_one_seat_and_what_is_rolled_back_none(
    store: EventStore, connection: Connection
) -> None:
    license_ = issued(store)
    new = caused(facts(started(license_)), Cause(id=uuid4(), at=NOON, actor="test"))
    for _ in range(2):
        store.append(Log.LICENSING, new)
    with store.transaction() as transaction:
        transaction.append(Log.LICENSING, caused(facts(started(license_)), Cause(id=uuid4(), at=NOON, actor="test")))
        assert taken(transaction.connection, license_) == 2
        raise psycopg.Rollback
    assert taken(connection, license_) == 1


def test_a_license_that_is_locked_is_nobody_else_s_to_decide_about_until_then(
    store: EventStore, place: Settings
) -> None:
    mine, other = issued(store), issued(store)
    order: list[str] = []

    def second() -> None:
        with store.transaction() as transaction:
            lock_licenses(transaction.connection, [mine.license_id])
            order.append("second")

    waiting = threading.Thread(target=second)
    with store.transaction() as transaction:
        lock_licenses(transaction.connection, [mine.license_id])
        waiting.start()
        eventually(lambda: someone_waits_for_a_lock(place))
        with store.transaction() as another:
            lock_licenses(another.connection, [other.license_id, "lic-nobody-knows"])
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_what_somebody_did_to_the_table_is_found_and_mended(store: EventStore, connection: Connection) -> None:
    license_ = issued(store)
    kept, lost = started(license_), started(license_)
    record(store, kept, lost)
    connection.execute("delete from event_store.seats where session_id = %s", [lost.session_id])
    connection.execute("insert into event_store.seats values (%s, 'ses-never')", [license_.license_id])
    assert sorted(seat_differences(connection)) == sorted(
        [
            SeatDifference(license_.license_id, lost.session_id, is_held=True),
            SeatDifference(license_.license_id, "ses-never", is_held=False),
        ]
    )
    assert mend_seats(connection) == 2
    assert seat_differences(connection) == []
    assert taken(connection, license_) == 2
    assert mend_seats(connection) == 0


def test_a_database_from_before_the_table_gets_it_from_its_log(servers: Settings) -> None:
    with fresh_database(servers) as old:
        database.migrate(old, to=BEFORE)
        with EventStore(old.database_url.get_secret_value(), name="test old") as store:
            license_ = issued(store)
            held, lapsed, ended, back = (started(license_) for _ in range(4))
            for each in (lapsed, back):
                lapse(each)
            back.resume(heartbeat_at=NOON + 8 * MINUTE)
            ended.end(reason="signed out", at=NOON)
            record(store, held, lapsed, ended, back)
        database.migrate(old)
        with database.connect(old, name="test") as connection:
            found = connection.execute("select session_id from event_store.seats order by session_id").fetchall()
            assert found == [(each,) for each in sorted([held.session_id, back.session_id])]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["start", "lapse", "resume", "end"])), max_size=25),
    cuts=st.sets(st.integers(0, 24)),
    on_lapse=st.sampled_from(OnLapse),
)
def test_however_histories_are_cut_into_statements_the_table_has_who_holds_a_seat(
    store: EventStore, connection: Connection, steps: list[tuple[int, str]], cuts: set[int], on_lapse: OnLapse
) -> None:
    license_ = issued(store, on_lapse=on_lapse)
    sessions: dict[int, Session] = {}
    for number, (which, step) in enumerate(steps):
        at = NOON + number * 30 * MINUTE
        session = sessions.get(which)
        if session is None:
            if step == "start":
                sessions[which] = started(license_)
        elif session.state is not SessionState.ENDED:
            if step == "lapse":
                lapse(session, at)
            elif step == "resume":
                session.resume(heartbeat_at=at)
            elif step == "end":
                session.end(reason="signed out", at=at)
        if number in cuts:
            record(store, *sessions.values())
    record(store, *sessions.values())
    states = [session.state for session in sessions.values()]
    kept = states.count(SessionState.LAPSED) if on_lapse is OnLapse.KEEP else 0
    assert taken(connection, license_) == states.count(SessionState.ACTIVE) + kept
    held = connection.execute("select session_id from event_store.seats where license_id = %s", [license_.license_id])
    assert {session_id for (session_id,) in held} == {s.session_id for s in sessions.values() if s.holds_seat}

from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest

from domain.heartbeat import WatermarkPassed
from domain.license import License
from domain.license_policy import LicensePolicy, OnLapse
from domain.session import Session, SessionEnded, SessionLapsed, SessionResumed, SessionStarted, SessionState
from infra import database
from infra.database import migrate
from infra.database.migration import SCRIPTS
from infra.event_store import Log
from infra.settings import Settings
from projections.beside import Desk
from projections.catalog import PROJECTIONS
from projections.draft import begin_draft
from projections.queries import UsageCounts, aggregate_usage
from projections.rebuild import rebuild
from projections.rows import driver
from projections.skipping import skip
from tests.infra.databases import fresh_database
from tests.projections.histories import NOON, at, changes, minted
from tests.projections.world import World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Usage = dict[tuple[str, datetime], tuple[int, int, Decimal, int, int]]


class Lived(NamedTuple):
    license_id: str
    started_at: datetime
    ended_at: datetime | None
    away: tuple[tuple[datetime, datetime | None], ...] = ()
    """From lapses by which it gave its seat back to its returns."""


def keep(world: World, sessions: list[Lived], *, log_time: datetime | None) -> None:
    """Put sessions into the read model, in the place of those that are there."""
    with world.connection.begin(), world.psycopg.cursor() as cursor:
        cursor.execute("delete from read_model.sessions")
        cursor.executemany(
            """insert into read_model.sessions (session_id, license_id, state, started_at, ended_at)
               values (%s, %s, case when %s::timestamptz is null then 'active' else 'ended' end, %s, %s)""",
            [
                (str(number), lived.license_id, lived.ended_at, lived.started_at, lived.ended_at)
                for number, lived in enumerate(sessions)
            ],
        )
        cursor.execute("delete from read_model.log_time")
        if log_time is not None:
            cursor.execute("insert into read_model.log_time (log_time) values (%s)", (log_time,))


def computed(world: World, table: str, bucket: str) -> Usage:
    rows = world.rows(f"select * from read_model.{table}")  # noqa: S608  one of two names
    return {
        (row["license_id"], row[bucket]): (
            row["sessions"],
            row["sessions_started"],
            row["session_seconds"],
            row["peak_concurrent_sessions"],
            row["peak_seats_taken"],
        )
        for row in rows
    }


def by_hand(sessions: list[Lived], log_time: datetime | None, width: timedelta) -> Usage:
    """Session by session, bucket by bucket, instant by instant."""
    intervals: dict[tuple[str, datetime], list[tuple[datetime, datetime, Lived]]] = defaultdict(list)
    started: dict[tuple[str, datetime], int] = defaultdict(int)
    for lived in sessions:
        begins = lived.started_at
        ends = max(begins, lived.ended_at or log_time or begins)
        bucket = begins - (begins - EPOCH) % width
        started[lived.license_id, bucket] += 1
        while bucket < ends or bucket <= begins:
            intervals[lived.license_id, bucket].append((max(begins, bucket), min(ends, bucket + width), lived))
            bucket += width
    return {
        key: (
            len(pieces),
            started[key],
            sum((Decimal((ends - begins) // timedelta(microseconds=1)) for begins, ends, _ in pieces), Decimal())
            / 1_000_000,
            max(sum(begins <= instant < ends for begins, ends, _ in pieces) for instant, *_ in pieces),
            max(
                sum(begins <= instant < ends and not is_away(lived, instant) for begins, ends, lived in pieces)
                for instant in instants(pieces)
            ),
        )
        for key, pieces in intervals.items()
    }


def instants(pieces: list[tuple[datetime, datetime, Lived]]) -> set[datetime]:
    """When somebody takes a seat."""
    returns = {back for _, _, lived in pieces for _, back in lived.away if back is not None}
    return {begins for begins, *_ in pieces} | {
        back for back in returns if any(begins <= back < ends for begins, ends, _ in pieces)
    }


def is_away(lived: Lived, instant: datetime) -> bool:
    return any(gone <= instant and (back is None or instant < back) for gone, back in lived.away)


def assert_usage_is(world: World, sessions: list[Lived], log_time: datetime | None) -> None:
    assert computed(world, "usage_hourly", "hour_start_at") == by_hand(sessions, log_time, HOUR)
    assert computed(world, "usage_daily", "day_start_at") == by_hand(sessions, log_time, DAY)


def random_sessions(chance: random.Random) -> list[Lived]:
    found = []
    for _ in range(chance.randint(0, 40)):
        # Few distinct moments, many of them on the hour, so that ends meet beginnings and sessions have no length.
        begins = NOON + timedelta(minutes=30 * chance.randint(0, 150), microseconds=chance.choice([0, 0, 1, 999_999]))
        length = timedelta(minutes=30 * chance.choice([-1, 0, 1, 1, 2, 3, 50, 120]))
        found.append(Lived(chance.choice("ab"), begins, chance.choice([None, begins + length, begins + length])))
    return found


@pytest.mark.parametrize("seed", range(15))
def test_usage_is_what_counting_by_hand_gives_however_the_sessions_change(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(4):  # each time over what the one before has left
        log_time = chance.choice([None, *[at(chance.randint(-100, 90 * 3600))] * 3])
        sessions = random_sessions(chance)
        keep(world, sessions, log_time=log_time)
        aggregate_usage(world.psycopg)
        assert_usage_is(world, sessions, log_time)


class Story:
    """Sessions as they are told by and by, in whole quarters of an hour, so that moments meet; told by a seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.chance = random.Random(seed)
        self._world = world
        licenses = [
            License.issue(name, valid_until=at(10**7), at=at(-1), policy=LicensePolicy(on_lapse=rule))
            for name, rule in (("l1", OnLapse.END), ("l2", OnLapse.END), ("l3", OnLapse.KEEP))
        ]
        self._sessions: list[Session] = []
        self._licenses = licenses
        self._told = 0

    def _moment(self, after: datetime = NOON) -> datetime:
        return after + timedelta(minutes=15 * self.chance.randint(0, 12))

    def go_on(self) -> None:
        """One more thing happens, and is recorded late or not."""
        self._told += 1
        match self.chance.choice(("start", "start", "lapse", "resume", "end", "watermark")):
            case "start":
                self._start()
            case "watermark":
                passed = WatermarkPassed.at(self._moment(at(900 * self._told)), marker_id=minted("w", self._told))
                self._world.record(Log.HEARTBEATS, passed)
            case change if self._sessions:
                self._change(change, self.chance.choice(self._sessions))

    def _start(self) -> None:
        under, name = self.chance.choice(self._licenses), f"s{len(self._sessions)}"
        began = self._moment(at(self.chance.choice((0, 900 * self._told))))
        session = Session.start(name, under=under, default_patience=timedelta(minutes=6), at=began)
        self._sessions.append(session)
        self._world.record(Log.LICENSING, *changes(session))

    def _change(self, change: str, session: Session) -> None:
        if change == "lapse":
            heard = self._moment(session.resumed_at or session.started_at)
            if session.state is SessionState.ACTIVE:
                session.record(SessionLapsed, at=heard, judged_at=heard + HOUR)
        elif change == "resume":
            if session.state is SessionState.LAPSED and session.lapsed_at is not None:
                session.record(
                    SessionResumed, at=session.lapsed_at + timedelta(minutes=self.chance.choice((7, 15, 90)))
                )
        elif session.state is not SessionState.ENDED:
            session.end(reason="signed out", at=self._moment(session.started_at))
        if news := changes(session):
            self._world.record(Log.LICENSING, *news)

    def forget(self) -> None:
        """A lapse is skipped, and the sessions are built anew without it, in place or beside."""
        found = self._world.rows(
            """select event_id from event_store.licensing_events told where name = 'session.lapsed'
               and not exists (select from analytics.meta_skipped_events s where s.event_id = told.event_id::text)
               order by event_id limit 1"""
        )
        if found:
            everyone = list(PROJECTIONS.values())
            skip(self._world.store, everyone, found[0]["event_id"], reason="untrue", by="ada", at=NOON)
        sessions, connection, store = PROJECTIONS["sessions"], self._world.connection, self._world.store
        rebuild(connection, PROJECTIONS["session_lapses"], store=store, batch_events=100)
        if self.chance.random() < 0.5:
            rebuild(connection, sessions, store=store, batch_events=100)
            return
        with connection.begin():
            begin_draft(driver(connection), sessions, by="ada")
        desk = Desk(connection, sessions, store=store, batch_events=100)
        desk.fill()
        desk.switch(by="ada", expected=10_000, reason="a lapse was untrue")


def from_the_log(world: World) -> tuple[list[Lived], datetime | None]:
    """The sessions and log time that the logs tell of, without a read model."""
    skipped = {row["position"] for row in world.rows("select position from analytics.meta_skipped_events")}
    sessions: dict[str, Lived] = {}
    keeping: set[str] = set()
    for each in world.store.read(Log.LICENSING, after=0, limit=100_000).events:
        event, name = each.event, each.event.originator_id
        if each.position in skipped:
            continue
        match event:
            case SessionStarted():
                sessions[name] = Lived(event.license_id, event.timestamp, None)
                keeping |= {name} if event.rules.on_lapse is OnLapse.KEEP else set()
            case SessionLapsed() if name not in keeping:
                gone = (*sessions[name].away, (event.timestamp, None))
                sessions[name] = sessions[name]._replace(ended_at=event.timestamp, away=gone)
            case SessionEnded():
                sessions[name] = sessions[name]._replace(ended_at=event.timestamp)
            case SessionResumed():
                away = tuple((gone, back or event.timestamp) for gone, back in sessions[name].away)
                sessions[name] = sessions[name]._replace(ended_at=None, away=away)
    heard = [each.event for each in world.store.read(Log.HEARTBEATS, after=0, limit=100_000).events]
    passed = [event.timestamp for event in heard if isinstance(event, WatermarkPassed)]
    return list(sessions.values()), max(passed, default=None)


@pytest.mark.parametrize("seed", range(12))
def test_kept_up_piece_by_piece_usage_is_what_the_log_tells_counted_by_hand(world: World, seed: int) -> None:
    story = Story(world, seed)
    for _ in range(60):
        story.go_on()
        match story.chance.randrange(8):
            case 0 | 1:
                who = story.chance.choice(("sessions", "session_lapses"))
                world.runner(who, batch_events=story.chance.choice((1, 3, 100))).step(world.connection)
            case 2 | 3:
                aggregate_usage(world.psycopg)
            case 4 if story.chance.random() < 0.4:
                story.forget()
    world.catch_up("sessions")
    world.catch_up("session_lapses")
    aggregate_usage(world.psycopg)
    assert_usage_is(world, *from_the_log(world))


def test_only_hours_in_which_something_changed_are_written(world: World) -> None:
    keep(world, [Lived("a", at(0), at(3600 * 5)), Lived("b", at(0), None)], log_time=at(3600 * 3))
    assert aggregate_usage(world.psycopg) == UsageCounts(5 + 3, 2)
    assert aggregate_usage(world.psycopg) == UsageCounts(0, 0)
    with world.connection.begin():
        world.psycopg.execute("update read_model.log_time set log_time = %s", (at(3600 * 4),))
    # b's hour that has just passed; a's hours stay.
    assert aggregate_usage(world.psycopg) == UsageCounts(1, 1)
    with world.connection.begin():
        world.psycopg.execute("update read_model.sessions set ended_at = %s where license_id = 'a'", (at(3600 * 3.5),))
        world.psycopg.execute("update read_model.sessions set last_heartbeat_at = now(), heartbeat_count = 7")
    assert world.row("select count(*) as waiting from read_model.usage_changes") == {"waiting": 1}
    aggregate_usage(world.psycopg)
    assert_usage_is(world, [Lived("a", at(0), at(3600 * 3.5)), Lived("b", at(0), None)], at(3600 * 4))


def test_an_hour_that_was_tampered_with_is_mended_where_it_is_asked_for(world: World) -> None:
    lived = [Lived("a", at(0), at(3600 * 5))]
    keep(world, lived, log_time=None)
    aggregate_usage(world.psycopg)
    with world.connection.begin():
        world.psycopg.execute("update read_model.usage_hourly set sessions = 9")
        world.psycopg.execute("insert into read_model.usage_hourly values ('z', %s, 1, 1, 1, 1, 1)", (at(3600),))
    assert aggregate_usage(world.psycopg, since=at(3600 * 3 + 1800)).hours == 2
    hours = sorted(computed(world, "usage_hourly", "hour_start_at").items())
    assert [sessions for _, (sessions, *_) in hours] == [9, 9, 9, 1, 1, 1]
    aggregate_usage(world.psycopg, since=at(0))
    assert_usage_is(world, lived, None)


def test_a_day_is_a_day_in_utc_whatever_the_clock_of_the_session_shows(world: World, settings: Settings) -> None:
    keep(world, [Lived("a", at(0), at(3600 * 48))], log_time=None)
    with database.connect(settings, name="berlin") as connection:
        connection.execute("set timezone = 'Europe/Berlin'")
        aggregate_usage(connection)
    found = computed(world, "usage_daily", "day_start_at")
    assert {day.astimezone(UTC).hour for _, day in found} == {0}
    assert [usage[2] for _, usage in sorted(found.items())] == [43_200, 86_400, 43_200]


def test_a_database_of_before_is_counted_anew_as_a_whole(servers: Settings) -> None:
    (mine,) = (SCRIPTS / "versions").glob("*_stale_usage.py")
    before = max(path.name[:4] for path in mine.parent.glob("[0-9]*_*.py") if path.name[:4] < mine.name[:4])
    with fresh_database(servers) as settings:
        migrate(settings, to=before)
        with database.connect(settings, name="test") as connection:
            connection.execute(
                "insert into read_model.sessions (session_id, license_id, state, started_at, ended_at)"
                " values ('s', 'a', 'ended', %s, %s)",
                (at(0), at(3600 * 2)),
            )
            connection.execute(
                "insert into read_model.usage_hourly values ('a', %s, 7, 7, 7), ('b', %s, 7, 7, 7)", [at(0)] * 2
            )
            migrate(settings)
            assert aggregate_usage(connection) == UsageCounts(2, 1)
            rows = connection.execute(
                "select license_id, session_count, started_session_count, session_seconds from analytics.usage_hourly"
                " order by hour_start_at"
            ).fetchall()
    assert rows == [("a", 1, 1, 3600), ("a", 1, 0, 3600)]


def test_several_may_count_at_once(world: World, settings: Settings) -> None:
    lived = random_sessions(random.Random(1))
    keep(world, lived, log_time=at(90 * 3600))

    def count(_: int) -> None:
        with database.connect(settings, name="count") as connection:
            aggregate_usage(connection)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(8)))
    assert_usage_is(world, lived, at(90 * 3600))


def test_what_changes_while_usage_is_counted_is_counted_the_next_time(world: World, settings: Settings) -> None:
    keep(world, [Lived("a", at(0), None)], log_time=at(3600))
    aggregate_usage(world.psycopg)
    with database.connect(settings, name="projector") as projector, projector.transaction():
        projector.execute("update read_model.sessions set ended_at = %s, state = 'ended'", (at(1800),))
        aggregate_usage(world.psycopg)  # neither waits for the other
        assert_usage_is(world, [Lived("a", at(0), None)], at(3600))
    aggregate_usage(world.psycopg)
    assert_usage_is(world, [Lived("a", at(0), at(1800))], at(3600))


def test_usage_is_shown_in_the_views_with_how_fresh_it_is(world: World) -> None:
    assert world.row("select counted_at, waiting_change_count from analytics.meta_usage") == {
        "counted_at": None,
        "waiting_change_count": 0,
    }
    keep(world, [Lived("a", at(0), at(90)), Lived("a", at(60), at(90))], log_time=at(100))
    aggregate_usage(world.psycopg)
    row = world.row("""select session_count, started_session_count, session_seconds, peak_concurrent_sessions
                       from analytics.usage_hourly""")
    assert row == {
        "session_count": 2,
        "started_session_count": 2,
        "session_seconds": 120,
        "peak_concurrent_sessions": 2,
    }
    fresh = world.row("select counted_until, log_time_at, waiting_change_count from analytics.meta_usage")
    assert fresh == {"counted_until": at(100), "log_time_at": at(100), "waiting_change_count": 0}

"""As-of answers against a replay of whole logs: all that counted by then, through the projections' own writing."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.heartbeat import Heartbeat, HeartbeatsReceived
from domain.license import License
from domain.run import TaskRun
from domain.session import Session, Silence, session_stream
from domain.task_run import TaskEvent, run_stream
from infra.cli import ledgerq
from infra.event_store import EventStore, EventUnreadableError, Log, Recorded
from infra.events.as_of import AsOf, By
from infra.settings import Settings
from projections.as_of import SessionAsOf, license_as_of, run_as_of, session_as_of
from projections.catalog import PROJECTIONS
from projections.licenses import LicenseRow
from projections.projection import Fold
from projections.skipping import skip
from projections.task_runs import RunRow
from tests.projections.histories import History, at, changes, minted, new, requested, told
from tests.projections.world import World

SIZE = 8
ASKS: dict[str, tuple[Callable[..., msgspec.Struct | None], Log, type[msgspec.Struct]]] = {
    "sessions": (session_as_of, Log.LICENSING, SessionAsOf),
    "licenses": (license_as_of, Log.LICENSING, LicenseRow),
    "task_runs": (run_as_of, Log.TASKS, RunRow),
}


class Undone(Exception):  # noqa: N818  a way out
    """The replay's transaction is rolled back."""


def recorded_at_random(world: World, log: Log, seed: int) -> None:
    """Say of each event that it was recorded at some time after it occurred: late ones overtake each other."""
    chance = random.Random(seed)
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        for position, occurred_at in world.psycopg.execute(
            f"select position, occurred_at from event_store.{log.table}".encode()  # noqa: S608  our own names
        ).fetchall():
            assert isinstance(occurred_at, datetime)
            when = occurred_at + timedelta(seconds=chance.choice((0, 1, 60, 86_400, 9 * 86_400)))
            world.psycopg.execute(
                f"update event_store.{log.table} set recorded_at = %s where position = %s".encode(),  # noqa: S608
                (when, position),
            )


def heartbeats_recorded_in_order(world: World, seed: int) -> None:
    """Say of each batch that it was recorded some time after it occurred, and none before one of a lower position."""
    chance, latest = random.Random(seed), at(0)
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        for position, occurred_at in world.psycopg.execute(
            "select position, occurred_at from event_store.heartbeat_events order by position"
        ).fetchall():
            assert isinstance(occurred_at, datetime)
            latest = max(latest, occurred_at + timedelta(seconds=chance.choice((0, 1, 60, 9_000))))
            if chance.random() < 0.02:
                latest += timedelta(hours=20)
            world.psycopg.execute(
                "update event_store.heartbeat_events set recorded_at = %s where position = %s", (latest, position)
            )


def of_its_life(heartbeat: Heartbeat, recorded_at: datetime, story: Sequence[Recorded], when: AsOf) -> bool:
    """Whether a heartbeat counts by then, by the words of the documentation."""
    if not story:
        return False
    times = [time for each in story for time in (each.event.timestamp, each.recorded_at)]
    is_over = story[-1].event.name in {"session.ended", "session.lapsed"}
    return (
        min(times) - timedelta(minutes=10) <= recorded_at
        and not (is_over and recorded_at > max(times) + timedelta(days=1))
        and (recorded_at if when.by is By.RECORDED else heartbeat.at) <= when.instant
        and not (when.by is By.OCCURRED and recorded_at > when.instant + timedelta(days=1))
    )


def heartbeats_by_then(batches: Sequence[Recorded], told: Sequence[Recorded], when: AsOf) -> Iterator[Recorded]:
    """The batches without the heartbeats that do not count."""
    stories: dict[str, list[Recorded]] = {}
    for each in sorted(told, key=lambda each: each.event.originator_version):
        stories.setdefault(each.event.originator_id, []).append(each)
    for batch in batches:
        assert isinstance(batch.event, HeartbeatsReceived)
        beats = [
            beat
            for beat in batch.event
            if of_its_life(beat, batch.recorded_at, stories.get(session_stream(beat.session_id), ()), when)
        ]
        if beats:
            yield batch._replace(event=HeartbeatsReceived.of(beats, batch_id=uuid4()))


def replayed(
    world: World, events: list[Recorded], projection: str, when: AsOf, batches: Sequence[Recorded] = ()
) -> dict[str, dict[str, Any]]:
    """By id, the rows that the projection writes where it is told only what counted by then."""
    found = PROJECTIONS[projection]
    assert isinstance(found, Fold)
    names = {name for of_log in found.follows.values() for name in of_log}
    counted = [
        each
        for each in events
        if each.event.name in names
        and (each.event.timestamp if when.by is By.OCCURRED else each.recorded_at) <= when.instant
    ]
    rows: dict[str, dict[str, Any]] = {}
    try:
        with world.connection.begin():
            found.apply(world.connection, [*heartbeats_by_then(batches, events, when), *counted])
            columns = [found.table.c[name] for name in ASKS[projection][2].__struct_fields__]
            for row in world.connection.execute(sa.select(*columns)).mappings():
                rows[next(iter(row.values()))] = dict(row)
            raise Undone  # noqa: TRY301
    except Undone:
        return rows


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("projection", ASKS)
def test_an_answer_as_of_an_instant_is_what_a_replay_of_the_whole_log_up_to_it_gives(
    world: World, seed: int, projection: str
) -> None:
    ask, log, _shape = ASKS[projection]
    for of_log, events in History(seed, size=SIZE).chunks():
        world.store.append(of_log, events)
    recorded_at_random(world, log, seed)
    heartbeats_recorded_in_order(world, seed)
    told = world.store.read(log, after=0, limit=10_000).events
    batches = world.store.read(Log.HEARTBEATS, after=0, limit=10_000, names=[HeartbeatsReceived.TOPIC]).events
    batches = batches if projection == "sessions" else []
    ids = sorted({each.event.originator_id.partition("-")[2] for each in told} | {"nobody"})
    times = sorted({time for each in (*told, *batches) for time in (each.event.timestamp, each.recorded_at)})
    shift = st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(microseconds=1)])
    seen: set[bool] = set()
    counts: list[int] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(times), shift, st.sampled_from(list(By)))
    def holds(moment: datetime, shifted: timedelta, by: By) -> None:
        when = AsOf(moment + shifted, by)
        rows = replayed(world, told, projection, when, batches)
        for thing in ids:
            row = ask(world.store, thing, when)
            seen.add(row is None)
            counts.append(getattr(row, "heartbeat_count", 0))
            assert (None if row is None else msgspec.structs.asdict(row)) == rows.get(thing)

    holds()
    assert seen == {True, False}, "every answer was alike, so it would prove nothing"
    assert max(counts) > 1 or not batches, "no heartbeat counted, so it would prove nothing"


def test_without_an_instant_the_answer_is_the_row_of_the_read_model(world: World) -> None:
    for log, events in History(3, size=SIZE).chunks():
        world.store.append(log, events)
    world.catch_up()
    for row in world.rows("select * from read_model.task_runs"):
        found = run_as_of(world.store, row["run_id"], None)
        assert found is not None
        assert msgspec.structs.asdict(found).items() <= row.items()


def test_the_state_of_a_run_is_the_one_that_its_story_is_told_with(world: World) -> None:
    history = History(4, size=SIZE)
    world.store.append(Log.TASKS, new(history.events[Log.TASKS]))
    for number in range(SIZE):
        run = str(minted("run", number))
        story = world.store.load_recorded(Log.TASKS, [run_stream(run)])[run_stream(run)]
        for seconds in (0, 5, 15, 91, 101):
            when = AsOf(at(seconds))
            events = [each.event for each in when.part(story) if isinstance(each.event, TaskEvent)]
            row = run_as_of(world.store, run, when)
            assert (row and row.state) == (TaskRun.fold(events).state.value if events else None)


def skipped(world: World, log: Log, name: str, *, recorded_at: datetime) -> None:
    """Skip the only event of that name, as if that had been recorded then, and every other event as it occurred."""
    found = world.row(f"select event_id from event_store.{log.table} where name = %(name)s", name=name)  # noqa: S608
    skip(world.store, list(PROJECTIONS.values()), found["event_id"], reason="untrue", by="ada", at=at(0))
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        for table in {log.table, Log.LICENSING.table}:
            world.psycopg.execute(
                f"update event_store.{table} set recorded_at = case name"  # noqa: S608  our own names
                " when 'event.skipped' then %s::timestamptz else occurred_at end".encode(),
                (recorded_at,),
            )


def test_a_skipped_event_was_never_true_and_was_known_until_the_skip_was(world: World) -> None:
    lapsed(world.store)
    skipped(world, Log.LICENSING, "session.lapsed", recorded_at=at(900))

    def state(when: AsOf | None) -> str | None:
        row = session_as_of(world.store, "s1", when)
        return None if row is None else row.state

    assert state(None) == "active"
    assert [state(AsOf(at(seconds))) for seconds in (500, 899, 900)] == ["active"] * 3
    assert [state(AsOf(at(seconds), By.RECORDED)) for seconds in (500, 899, 900)] == ["lapsed", "lapsed", "active"]
    skipped(world, Log.LICENSING, "session.started", recorded_at=at(900))
    skipped(world, Log.LICENSING, "license.issued", recorded_at=at(900))
    assert (session_as_of(world.store, "s1", None), license_as_of(world.store, "l1", None)) == (None, None)


def test_with_events_skipped_the_answer_is_the_row_of_the_read_model(world: World) -> None:
    history = History(3, size=SIZE)
    for log, events in history.chunks():
        world.store.append(log, events)
    for row in world.rows(
        "select event_id from event_store.task_events where name <> 'task.requested' and mod(position, 3) = 0"
        " union all select event_id from event_store.licensing_events where name = 'session.lapsed'"
    ):
        skip(world.store, list(PROJECTIONS.values()), row["event_id"], reason="untrue", by="ada", at=at(0))
    world.catch_up()
    for row in world.rows("select * from read_model.task_runs"):
        found = run_as_of(world.store, row["run_id"], None)
        assert found is not None
        assert msgspec.structs.asdict(found).items() <= row.items()


def test_a_session_is_shown_although_a_skipped_event_of_it_cannot_be_read(world: World) -> None:
    lapsed(world.store)
    broken = uuid4()
    with world.connection.begin():
        world.psycopg.execute(
            """insert into event_store.licensing_events (stream_id, version, name, data, event_id, occurred_at)
               values ('session-s1', 9, 'session.heard_of', '{}', %s, now())""",
            (broken,),
        )
    with pytest.raises(EventUnreadableError):
        session_as_of(world.store, "s1", None)
    skip(world.store, list(PROJECTIONS.values()), broken, reason="unreadable", by="ada", at=at(0))
    row = session_as_of(world.store, "s1", None)
    assert row is not None
    assert row.state == "lapsed"


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", settings.database_url.get_secret_value())
    return lambda *arguments: CliRunner().invoke(ledgerq, arguments)


def lapsed(store: EventStore) -> None:
    """A session that went silent a minute after noon, which was found out seven minutes later."""
    held = License.issue("l1", valid_until=at(86_400), at=at(0), seats=5)
    session = Session.start("s1", under=held, default_patience=timedelta(minutes=6), at=at(0))
    session.lapse(Silence(at(480), last_heartbeat_at=at(60)))
    store.append(Log.LICENSING, new([*changes(held), *changes(session)]))


def test_what_was_true_and_what_was_known_are_told_apart(world: World, run: Callable[..., Result]) -> None:
    lapsed(world.store)
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        world.psycopg.execute(
            "update event_store.licensing_events set recorded_at = case name"
            " when 'session.lapsed' then %s::timestamptz else occurred_at end",
            (at(480),),
        )
    then = at(300).isoformat()
    true = run("session", "show", "s1", "--as-of", then, "--json")
    known = run("session", "show", "s1", "--as-of", then, "--by", "recorded", "--json")
    assert [json.loads(done.stdout)["state"] for done in (true, known)] == ["lapsed", "active"]
    assert re.search(r"^ended at +2026-03-01 12:01:00.000Z$", run("session", "show", "s1").stdout, re.MULTILINE)


def test_a_license_is_shown_and_what_is_not_there_is_said(world: World, run: Callable[..., Result]) -> None:
    lapsed(world.store)
    shown = run("license", "show", "l1")
    assert (shown.exit_code, ["seats", "5"] in map(str.split, shown.stdout.splitlines())) == (0, True), shown.output
    early = run("license", "show", "l1", "--as-of", "2026-03-01T11:00")
    assert early.exit_code == 1
    assert "nothing of the license l1 as of 2026-03-01 11:00:00" in early.stderr
    unknown = run("license", "show", "l2")
    assert (unknown.exit_code, "the log knows no license l2" in unknown.stderr) == (1, True)


def test_an_instant_that_is_none_is_refused(run: Callable[..., Result]) -> None:
    for command in (["session", "show", "s1"], ["license", "show", "l1"], ["task", "show", "r1"]):
        wrong = run(*command, "--as-of", "noon")
        assert (wrong.exit_code, "allowed are" in wrong.stderr) == (2, True)
        lonely = run(*command, "--by", "recorded")
        assert (lonely.exit_code, "--as-of, which is missing" in lonely.stderr) == (2, True)


def test_a_run_s_story_ends_at_the_instant(world: World, run: Callable[..., Result]) -> None:
    history = History(4, size=SIZE)
    world.store.append(Log.TASKS, new(history.events[Log.TASKS]))
    ended = [each for each in history.events[Log.TASKS] if each.name == "task.succeeded"]
    run_id = ended[0].originator_id.removeprefix("task_run-")
    whole = run("task", "show", run_id)
    early = run("task", "show", run_id, "--as-of", at(11).isoformat())
    assert "task.succeeded" in whole.stdout
    assert (early.exit_code, "task.started" in early.stdout) == (0, True), early.output
    assert "task.succeeded" not in early.stdout
    told = json.loads(run("task", "show", run_id, "--as-of", at(11).isoformat(), "--json").stdout)
    row = run_as_of(world.store, run_id, AsOf(at(11)))
    assert row is not None
    assert (told["run_id"], told["state"], told["attempts"]) == (run_id, row.state, row.attempts)
    names = {"task.requested", "task.published", "task.received", "task.started"}
    assert {event["name"] for event in told["events"]} <= names
    before = run("task", "show", run_id, "--as-of", at(-1).isoformat())
    assert (before.exit_code, "there was nothing of the run" in before.stderr) == (1, True)


def test_a_run_s_story_is_told_without_what_is_skipped(world: World, run: Callable[..., Result]) -> None:
    asked = str(minted("a"))
    world.record(Log.TASKS, requested(minted("a")), told(minted("a"), "succeeded", 5, attempt=1))
    assert "task.succeeded" in run("task", "show", asked).stdout
    skipped(world, Log.TASKS, "task.succeeded", recorded_at=at(900))
    now = run("task", "show", asked, "--json")
    assert (now.exit_code, json.loads(now.stdout)["state"]) == (0, "requested"), now.output
    assert "task.succeeded" not in run("task", "show", asked).stdout
    before = run("task", "show", asked, "--as-of", at(899).isoformat(), "--by", "recorded")
    assert "task.succeeded" in before.stdout


def test_without_a_database_there_is_one_line(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    done = run("session", "show", "s1")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)


def beats(world: World, *times: int, session: str = "s1") -> None:
    """Heartbeats of a session, a batch each, in company; recorded in the second in which they were sent."""
    for seconds in times:
        company = [Heartbeat(f"other-{number}", at(seconds)) for number in range(20)]
        batch = HeartbeatsReceived.of([*company, Heartbeat(session, at(seconds))], batch_id=uuid4())
        (position,) = world.record(Log.HEARTBEATS, batch)
        with world.connection.begin():
            world.psycopg.execute("set local ledgerq.maintenance = on")
            world.psycopg.execute(
                "update event_store.heartbeat_events set recorded_at = occurred_at where position = %s", (position,)
            )


def test_without_an_instant_heartbeats_are_those_of_the_read_model(world: World) -> None:
    for log, events in History(5, size=SIZE).chunks():
        world.store.append(log, events)
    world.catch_up("sessions")
    rows = world.rows("select * from read_model.sessions where state is not null")
    assert max(row["heartbeat_count"] for row in rows) > 1
    for row in rows:
        found = session_as_of(world.store, row["session_id"], None)
        assert found is not None
        assert msgspec.structs.asdict(found).items() <= row.items()


def test_heartbeats_are_counted_up_to_the_instant(world: World, run: Callable[..., Result]) -> None:
    lapsed(world.store)
    beats(world, 10, 70, 40, 130)

    def asked(*options: str) -> tuple[int, str | None]:
        done = run("session", "show", "s1", "--json", *options)
        told = json.loads(done.stdout)
        return told["heartbeat_count"], told["last_heartbeat_at"]

    assert asked() == (3, "2026-03-01T12:02:10Z")  # 40 came after 70 and was no news
    assert asked("--as-of", at(69).isoformat()) == (2, "2026-03-01T12:00:40Z")
    assert asked("--as-of", at(70).isoformat(), "--by", "recorded") == (2, "2026-03-01T12:01:10Z")


def test_the_last_and_the_first_moment_there_are_can_be_asked_for(world: World, run: Callable[..., Result]) -> None:
    lapsed(world.store)
    for by in By:
        late = run("session", "show", "s1", "--as-of", "9999-12-31T23:59:59.999999", "--by", by.value, "--json")
        assert json.loads(late.stdout)["state"] == "lapsed"
        early = run("session", "show", "s1", "--as-of", "0001-01-01T00:00", "--by", by.value)
        assert (early.exit_code, "there was nothing of the session" in early.stderr) == (1, True), early.output


def test_a_skipped_batch_was_never_heard_of(world: World) -> None:
    lapsed(world.store)
    beats(world, 10, 70)
    found = world.row("select event_id from event_store.heartbeat_events order by position desc limit 1")
    skip(world.store, list(PROJECTIONS.values()), found["event_id"], reason="untrue", by="ada", at=at(0))
    row = session_as_of(world.store, "s1", None)
    assert row is not None
    assert (row.heartbeat_count, row.last_heartbeat_at) == (1, at(10))


def test_heartbeats_of_other_times_are_not_read(world: World) -> None:
    lapsed(world.store)
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        world.psycopg.execute("update event_store.licensing_events set recorded_at = occurred_at")
    for days in (-1, 2):  # broken, so that reading one would raise
        with world.connection.begin():
            world.psycopg.execute(
                """insert into event_store.heartbeat_events
                       (stream_id, version, name, data, event_id, occurred_at, recorded_at)
                   values ('heartbeats-' || gen_random_uuid(), 1, 'session.heartbeats_received',
                       '{"session_ids": ["s1"]}', gen_random_uuid(), %(at)s, %(at)s)""",
                {"at": at(86_400 * days)},
            )
        if days < 0:
            beats(world, 10, 70)
    row = session_as_of(world.store, "s1", None)
    assert row is not None
    assert (row.heartbeat_count, row.last_heartbeat_at) == (2, at(70))

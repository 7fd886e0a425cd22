from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import pytest

from domain.aggregate import Event
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from infra import database
from infra.event_store import Log, Recorded
from infra.settings import Settings
from projections import heartbeats
from projections.heard import Heard
from projections.projection import HEARTBEAT_PAGE_PART
from projections.returns import KEPT, SILENCE
from projections.rows import driver
from tests.projections.histories import at, minted
from tests.projections.test_session_histories import tell
from tests.projections.world import World

COLUMNS = ("session_id", "last_heartbeat_at", "last_heard_at", "heartbeat_count", "returned_at")
TABLE = f"select {', '.join(COLUMNS)} from read_model.sessions order by session_id"  # noqa: S608  constants


def batch(number: int, *beats: tuple[str, float]) -> HeartbeatsReceived:
    told = [Heartbeat(session, at(seconds)) for session, seconds in beats]
    return HeartbeatsReceived.of(told, batch_id=minted("batch", number))


def story(seed: int) -> Iterator[tuple[Event, float]]:
    """Batches and watermarks, each with when it was recorded; heartbeats come late, twice, in a batch of their own or
    together, after silences."""
    chance = random.Random(seed)
    now = 0.0
    for number in range(60):
        now += chance.choice((1, 20, 60, SILENCE.total_seconds(), SILENCE.total_seconds() + 1, 40_000))
        if chance.random() < 0.3:
            yield WatermarkPassed.at(at(now + chance.choice((-30, 0, 200))), marker_id=minted("marker", number)), now
        count = chance.randint(1, 4)
        beats = ((chance.choice("abcdefg"), now - chance.choice((0, 0, 1, 100))) for _ in range(count))
        yield batch(number, *beats), now


def model(recorded: Iterable[Recorded]) -> tuple[list[dict[str, Any]], list[tuple[str, datetime]]]:
    """The rows, and the silences broken after a first heartbeat, by the plain rules, one heartbeat after another."""
    rows: dict[str, dict[str, Any]] = {}
    returns: dict[tuple[str, datetime], bool] = {}
    log_time = at(-1_000_000)
    for each in recorded:
        if isinstance(each.event, WatermarkPassed):
            log_time = max(log_time, each.event.timestamp)
        for session_id, moment, _ in each.event if isinstance(each.event, HeartbeatsReceived) else ():
            row = rows.setdefault(session_id, dict.fromkeys(COLUMNS) | {"session_id": session_id})
            last, heard_at = row["last_heartbeat_at"], row["last_heard_at"]
            if last is None or log_time - max(last, heard_at) > SILENCE:
                row["returned_at"] = each.recorded_at
                # Two in one batch may break one each, where log time is ahead of the log's clock; they are one row.
                returns.setdefault((session_id, each.recorded_at), last is not None)
            row["last_heard_at"] = max(heard_at or each.recorded_at, each.recorded_at)
            if last is None or moment > last:
                row["heartbeat_count"] = (row["heartbeat_count"] or 0) + 1
                row["last_heartbeat_at"] = moment
    told = [key for key, is_after_another in returns.items() if is_after_another]
    kept = [(name, moment) for name, moment in told if moment >= rows[name]["returned_at"] - KEPT]
    return sorted(rows.values(), key=lambda row: str(row["session_id"])), sorted(kept)


@pytest.mark.parametrize("seed", range(8))
def test_pages_give_what_one_heartbeat_after_another_gives(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for event, when in story(seed):
        tell(world, event, when)
    runner = world.runner("sessions")
    runner._reader._batch_events = chance.choice((1, 2, 5, 100)) * HEARTBEAT_PAGE_PART
    while runner.step(world.connection):
        pass

    rows, returns = model(world.store.read(Log.HEARTBEATS, after=0, limit=1000).events)

    assert any(len(all_) > 1 for all_ in [[name for name, _ in returns if name == letter] for letter in "abcdefg"])
    assert world.rows(TABLE) == rows
    broken = "select session_id, recorded_at from read_model.session_returns where last_heartbeat_at is not null"
    assert sorted(tuple(row.values()) for row in world.rows(broken)) == returns


def test_a_delay_is_the_same_to_the_last_digit_however_heartbeats_come_together(world: World) -> None:
    late = 23_375_750.038191  # one that date_part tells as 23375750.038190998
    tell(world, batch(1, ("known", -100)), late - 200)
    world.catch_up("sessions")
    tell(world, batch(2, ("known", 0), ("new", 0), ("twice", -1)), late)
    tell(world, batch(3, ("twice", 0)), late)
    world.catch_up("sessions")
    rows = world.rows("select session_id, last_delay_seconds from read_model.sessions order by 1")
    assert {row["session_id"]: row["last_delay_seconds"] for row in rows} == dict.fromkeys(
        ("known", "new", "twice"), late
    )


def test_a_session_that_starts_while_its_first_heartbeat_is_being_counted_is_counted(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes may write the two logs' columns of one row, where a leader has lost its lead and not noticed."""
    world.record(Log.HEARTBEATS, batch(1, ("a", 5), ("b", 5)))
    count = heartbeats._given

    def and_another_inserts(heard: Heard, *arguments: Any) -> heartbeats.Given:
        with database.connect(settings, name="other") as other:
            other.execute("insert into read_model.sessions (session_id, state) values ('a', 'active')")
        return count(heard, *arguments)

    monkeypatch.setattr(heartbeats, "_given", and_another_inserts)
    monkeypatch.setattr(
        heartbeats, "_MOVE", heartbeats._MOVE.replace("where known.session_id", "where false and known.session_id")
    )

    world.catch_up("sessions")

    found = world.rows("select session_id, state, heartbeat_count from read_model.sessions order by 1")
    assert [tuple(row.values()) for row in found] == [("a", "active", 1), ("b", None, 1)]


def test_a_page_leaves_the_planner_as_it_was(world: World) -> None:
    world.record(Log.HEARTBEATS, batch(1, ("a", 5)))
    runner = world.runner("sessions")
    with world.connection.begin():
        runner.recall_in(world.connection, Log.HEARTBEATS)
        runner.bring_to(world.connection, Log.HEARTBEATS, world.store.safe_position(Log.HEARTBEATS))
        assert driver(world.connection).execute("show enable_hashjoin").fetchone() == ("on",)

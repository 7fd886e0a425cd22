"""Sessions and their silences are the same however the logs are followed, with the log's clock and log time in step."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest

from domain.aggregate import Event
from domain.blindness import BlindWindowPassed
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from infra.event_store import Log
from projections.catalog import PROJECTIONS
from projections.projection import HEARTBEAT_PAGE_PART
from projections.rebuild import rebuild
from projections.sessions import Sessions
from tests.projections.histories import at, changes, minted, new
from tests.projections.test_sessions import ruled
from tests.projections.world import World

NAMES = [f"s{number}" for number in range(6)]
HOUR = 3600


def heard(chance: random.Random) -> Iterator[tuple[Event, float]]:
    """What the log of heartbeats holds, each with when it was recorded: ten days in steps of some minutes."""
    now = marked = 0.0
    for number in range(120):
        now += chance.choice((10, 30, 80, 100, 400, 2 * HOUR, 10 * HOUR))
        if number % 2 == 0:
            marker = minted("marker", number)
            if chance.random() < 0.3:
                yield BlindWindowPassed.between(at(marked), at(now - 2), marker_id=marker), now
            if number == 40:
                yield BlindWindowPassed.between(None, at(now - 2), marker_id=minted("upgrade")), now
            marked = now - 2
            yield WatermarkPassed.at(at(marked), marker_id=marker), now
        names = chance.sample(NAMES, chance.randint(1, 4)) + chance.sample(NAMES, chance.randint(0, 1))
        beats = [
            Heartbeat(name, at(now - chance.choice((0, 0, 1, 70, 900))), chance.choice((0, 0, 0, 5000)))
            for name in names
        ]
        yield HeartbeatsReceived.of(beats, batch_id=minted("batch", number)), now


def tell(world: World, event: Event, when: float) -> None:
    (position,) = world.record(Log.HEARTBEATS, event)
    with world.connection.begin():
        world.psycopg.execute("set local ledgerq.maintenance = on")
        statement = "update event_store.heartbeat_events set recorded_at = %s where position = %s"
        world.psycopg.execute(statement, (at(when), position))


@pytest.mark.parametrize("seed", range(5))
def test_silences_are_the_same_however_the_logs_are_followed(world: World, seed: int) -> None:
    chance = random.Random(seed)
    starts = new(fact for name in NAMES[:-1] for fact in changes(ruled(name)))
    runner = world.runner("sessions")
    for event, when in heard(chance):
        tell(world, event, when)
        if starts and chance.random() < 0.1:
            world.store.append(Log.LICENSING, [starts.pop()])
        if chance.random() < 0.4:
            runner._reader._batch_events = chance.randint(1, 7) * chance.choice((1, HEARTBEAT_PAGE_PART))
            runner.step(world.connection)
    world.store.append(Log.LICENSING, starts)
    world.catch_up("sessions")
    stepwise = world.dump(Sessions().tables)
    assert all(stepwise.values())
    rebuild(world.connection, PROJECTIONS["sessions"], store=world.store, batch_events=1000)
    assert world.dump(Sessions().tables) == stepwise
    assert world.rows("select * from read_model.parked_events") == []


def test_returns_are_kept_of_the_last_days_wherever_batches_are_cut(world: World) -> None:
    day = timedelta(days=1).total_seconds()
    world.record(Log.LICENSING, *changes(ruled()))
    for moment in (0, 10, 200, 8.4 * day, 8.6 * day):
        tell(world, WatermarkPassed.at(at(moment - 1), marker_id=minted("marker", moment)), moment)
        beat = HeartbeatsReceived.of([Heartbeat("s1", at(moment))], batch_id=minted("batch", moment))
        tell(world, beat, moment)
    world.catch_up("sessions")
    kept = [{"heartbeat_at": at(moment)} for moment in (8.4 * day, 8.6 * day)]
    question = "select heartbeat_at from read_model.session_returns order by 1"
    assert world.rows(question) == kept
    rebuild(world.connection, PROJECTIONS["sessions"], store=world.store, batch_events=1)
    assert world.rows(question) == kept

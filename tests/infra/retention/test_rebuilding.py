"""The law of retention: whatever was dropped, read models rebuilt with the archives are those that never lost it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from domain.aggregate import Event
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from infra.event_store import Log, NewEvent
from infra.events.sealing import seal_all
from infra.events.seals import SealTable
from infra.retention import shelf
from infra.retention.dropping import drop
from infra.retention.parts import parts
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.rebuild import rebuild
from tasks.ingest.heartbeats import packed
from tests.infra.databases import copied_database
from tests.infra.retention.past import Past, on, opened
from tests.infra.retention.test_dropping import prepare
from tests.projections.histories import History, minted

MONTH_DAYS = 30.5
FOLLOWING = [name for name, projection in PROJECTIONS.items() if Log.HEARTBEATS in projection.follows]


@pytest.fixture
def empty_past(servers: Settings, model: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with copied_database(servers, model) as own:
        settings = own.model_copy(update={"archive_dir": tmp_path_factory.mktemp("archives")})
        with opened(settings) as made:
            for number in (2, 3, 4, 5, 6):
                made.connection.execute("select event_store.make_heartbeat_month(%s)", (on(number).date(),))
            yield made


def in_months(events: list[Event], chance: random.Random) -> list[NewEvent]:
    """The history's batches as ingest would have stored them, each heartbeat moved to some month or other."""
    told: list[NewEvent] = []
    for event in events:
        if isinstance(event, HeartbeatsReceived):
            months = [chance.choice((0, 0, 1, 2, 3, -20)) for _ in event.session_ids]
            moved = [(beat, timedelta(days=MONTH_DAYS * number)) for beat, number in zip(event, months, strict=True)]
            told += packed([Heartbeat(beat.session_id, beat.at + by) for beat, by in moved])
        else:
            told.append(NewEvent(event, minted(event.originator_id), {}))
    return told


@pytest.mark.parametrize("seed", range(4))
def test_what_is_dropped_makes_no_difference_to_what_is_rebuilt(
    empty_past: Past, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    past, chance = empty_past, random.Random(seed)
    monkeypatch.setattr(shelf, "SEALS_EACH", chance.randint(1, 4))
    history = History(seed)
    heartbeats = in_months(history.events[Log.HEARTBEATS], chance)
    for log, events in history.chunks():
        if log is not Log.HEARTBEATS:
            past.store.append(log, events)
            continue
        for new in (heartbeats.pop(0) for _ in range(min(len(heartbeats), chance.randint(1, 8)))):
            past.store.append_each(log, [new])
        if chance.random() < 0.7:
            past.world.catch_up(*FOLLOWING)
    past.store.append_each(Log.HEARTBEATS, heartbeats)
    past.record(Log.HEARTBEATS, WatermarkPassed.at(on(5), marker_id=minted("last", seed)))
    past.settle()
    before = {name: past.dump(name) for name in FOLLOWING}
    whole = past.heartbeats()
    full = [part.name for part in parts(past.connection) if part.last_position is not None]
    assert len(full) >= 3

    for name in chance.sample(full, chance.randint(1, len(full))):
        part = past.part(name)
        prepare(past, name)
        drop(past.connection, Log.HEARTBEATS, part, by="me")
    if chance.random() < 0.5:  # sealing goes on
        list(seal_all(SealTable(past.connection), Log.HEARTBEATS, now=datetime.now(UTC), key=None))
    assert past.heartbeats() == whole
    assert past.verified().findings == []
    for name in FOLLOWING:
        rebuild(past.world.connection, PROJECTIONS[name], store=past.store, batch_events=chance.choice((100, 700)))
        assert past.dump(name) == before[name]

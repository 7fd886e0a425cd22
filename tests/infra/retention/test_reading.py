from __future__ import annotations

import random
from pathlib import Path

import pytest

from domain.heartbeat import Heartbeat, HeartbeatsReceived
from infra.event_store import ArchiveMissingError, EventStore, Log
from infra.retention import shelf
from infra.retention.dropping import drop
from infra.retention.reading import ArchivedEvents
from tests.infra.retention.past import MONTHS, Past, on
from tests.infra.retention.test_dropping import prepare


@pytest.fixture
def dropped(past: Past, monkeypatch: pytest.MonkeyPatch) -> Past:
    """January and March are gone."""
    monkeypatch.setattr(shelf, "SEALS_EACH", 3)
    for name in (MONTHS[0], MONTHS[2]):
        part = past.part(name)
        prepare(past, name)
        drop(past.connection, Log.HEARTBEATS, part, by="me")
    return past


def archives(past: Past) -> list[Path]:
    assert past.settings.archive_dir is not None
    return sorted(past.settings.archive_dir.iterdir())


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
@pytest.mark.parametrize("names", [(), (HeartbeatsReceived.TOPIC,)], ids=["all", "heartbeats"])
def test_pages_are_the_same_wherever_the_events_are(past: Past, limit: int, names: tuple[str, ...]) -> None:
    """Whole: every event once, in order; and each page holds no more than was asked for."""

    def read() -> list[tuple[int, str]]:
        found, position = [], 0
        while (page := past.store.read(Log.HEARTBEATS, after=position, limit=limit, names=names)).position > position:
            assert len(page.events) <= limit
            position = page.position
            found += [(each.position, each.event.originator_id) for each in page.events]
        return found

    before = read()
    for name in MONTHS:
        part = past.part(name)
        prepare(past, name)
        drop(past.connection, Log.HEARTBEATS, part, by="me")
        assert read() == before


def test_a_page_may_begin_and_end_anywhere(dropped: Past) -> None:
    chance = random.Random(7)
    whole = [position for position, _ in dropped.heartbeats()]
    last = whole[-1]
    for _ in range(60):
        after = chance.randrange(last)
        upto = chance.randint(after, last)
        found: list[int] = []
        position = after
        while True:
            page = dropped.store.read(
                Log.HEARTBEATS, after=position, limit=5, names=(HeartbeatsReceived.TOPIC,), upto=upto
            )
            if page.position == position:
                break
            position = page.position
            found += [each.position for each in page.events]
        assert found == [each for each in whole if after < each <= upto]


def test_a_file_is_opened_once_by_who_reads_on(dropped: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = ArchivedEvents._rows_from

    def counting(self: ArchivedEvents, stretch: object, after: int) -> object:
        place = self._place
        rows = original(self, stretch, after)  # type: ignore[arg-type]
        if place is None or rows is not place.rows:
            opened.append(stretch.file_name)  # type: ignore[attr-defined]
        return rows

    monkeypatch.setattr(ArchivedEvents, "_rows_from", counting)
    dropped.heartbeats()
    assert sorted(opened) == [path.name for path in archives(dropped)][: len(opened)]
    assert len(opened) == len(set(opened)) >= 2


def test_an_archive_that_is_missing_is_named_before_anything_is_read(dropped: Past) -> None:
    first, *_, last = archives(dropped)
    last.rename(last.with_suffix(".away"))
    with pytest.raises(ArchiveMissingError, match=last.name):
        dropped.store.check_archives(Log.HEARTBEATS, after=0)
    dropped.store.check_archives(Log.HEARTBEATS, after=dropped.verified().upto)
    first.unlink()
    with pytest.raises(ArchiveMissingError, match=first.name):
        dropped.store.read(Log.HEARTBEATS, after=0, limit=5)


def test_an_archive_that_was_changed_is_not_read(dropped: Past) -> None:
    first, second, *_ = archives(dropped)
    first.write_bytes(second.read_bytes())
    with pytest.raises(ArchiveMissingError, match=f"{first.name} is not the archive that was written"):
        dropped.heartbeats()


def test_whoever_was_told_of_no_archives_is_refused_and_reads_the_rest(dropped: Past) -> None:
    with EventStore(dropped.settings.database_url.get_secret_value()) as store:
        with pytest.raises(ArchiveMissingError, match="LEDGERQ_ARCHIVE_DIR"):
            store.read(Log.HEARTBEATS, after=0, limit=5)
        with pytest.raises(ArchiveMissingError, match="LEDGERQ_ARCHIVE_DIR"):
            store.check_archives(Log.HEARTBEATS, after=0)
        dropped.tell(Heartbeat("s", on(4)))
        assert len(store.read(Log.HEARTBEATS, after=dropped.verified().upto, limit=5).events) == 1
        assert store.read(Log.LICENSING, after=0, limit=5).events

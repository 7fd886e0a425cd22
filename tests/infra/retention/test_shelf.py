from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from infra.event_store import Log
from infra.events.archive import read_archive
from infra.retention import shelf
from infra.retention.shelf import ShelfTakenError, shelve, shelved_upto
from tests.infra.retention.past import Past


@pytest.fixture(autouse=True)
def small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SEALS_EACH", 3)


def put(past: Past, *, upto: int) -> list[Path]:
    assert past.settings.archive_dir is not None
    return [
        each.path for each in shelve(past.connection, Log.HEARTBEATS, upto=upto, directory=past.settings.archive_dir)
    ]


def numbers(paths: list[Path]) -> list[int]:
    return [block.seal.number for path in paths for block in read_archive(path)]


def test_archives_follow_one_another_from_the_first_seal_on_without_holes(past: Past) -> None:
    upto = past.verified().upto
    first = put(past, upto=upto // 2)
    assert shelved_upto(past.connection, Log.HEARTBEATS) >= upto // 2
    assert put(past, upto=upto // 2) == []
    second = put(past, upto=upto)
    assert shelved_upto(past.connection, Log.HEARTBEATS) == upto
    assert numbers(first + second) == list(range(1, past.verified().seals + 1))
    assert all(len(numbers([path])) <= 3 for path in first + second)


def test_who_was_interrupted_before_a_file_was_written_down_finds_it_again(past: Past) -> None:
    upto = past.verified().upto
    written = put(past, upto=upto)
    times = [path.stat().st_mtime_ns for path in written]
    with past.connection.transaction():
        past.connection.execute("set local ledgerq.maintenance = on")
        past.connection.execute("delete from event_store.archives")
    assert put(past, upto=upto) == written
    assert [path.stat().st_mtime_ns for path in written] == times
    row = past.connection.execute(
        "select event_count, sha256 from event_store.archives order by first_number"
    ).fetchone()
    assert row == (15, shelf.file_hash(written[0]))


def test_who_is_interrupted_while_writing_leaves_nothing(past: Past) -> None:
    class InterruptedOnPurposeError(Exception):
        pass

    calls = iter(range(2))

    def watch() -> None:
        if next(calls, None) is None:
            raise InterruptedOnPurposeError

    assert past.settings.archive_dir is not None
    with pytest.raises(InterruptedOnPurposeError):
        list(shelve(past.connection, Log.HEARTBEATS, upto=40, directory=past.settings.archive_dir, watch=watch))
    assert list(past.settings.archive_dir.iterdir()) == []
    assert shelved_upto(past.connection, Log.HEARTBEATS) == 0
    assert numbers(put(past, upto=40))[:3] == [1, 2, 3]


def test_another_file_in_the_place_of_an_archive_is_not_overwritten(past: Past) -> None:
    first, second, *_ = put(past, upto=past.verified().upto)
    with past.connection.transaction():
        past.connection.execute("set local ledgerq.maintenance = on")
        past.connection.execute("delete from event_store.archives")
    first.write_bytes(second.read_bytes())
    with pytest.raises(ShelfTakenError, match="is another archive than the one to be written: move it away"):
        put(past, upto=past.verified().upto)
    first.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(Exception, match="cannot be read as an archive"):
        put(past, upto=past.verified().upto)
    assert gzip.decompress(first.read_bytes()) == b"something else"

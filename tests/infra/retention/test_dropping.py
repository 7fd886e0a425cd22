from __future__ import annotations

import threading
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from domain.heartbeat import Heartbeat
from infra import database
from infra.event_store import Log
from infra.events.archive import read_archive
from infra.events.finding import Fault
from infra.retention import shelf
from infra.retention.dropping import Dropped, LogInUseError, PartGrewError, PartNotArchivedError, drop
from infra.retention.leaves import PartDoubtfulError, keep_leaves
from infra.retention.shelf import shelve
from projections.as_of import session_as_of
from tests.infra.databases import end_sessions
from tests.infra.retention.past import MONTHS, Past, on
from tests.waiting import eventually

DROPS = "select part, event_count, first_position, last_position, dropped_by from event_store.drops"


def prepare(past: Past, name: str) -> None:
    """Archive a part and keep its digests."""
    part, directory = past.part(name), past.settings.archive_dir
    assert isinstance(directory, Path)
    list(shelve(past.connection, Log.HEARTBEATS, upto=part.last_position or 0, directory=directory))
    keep_leaves(past.connection, Log.HEARTBEATS, part)


def maintain(past: Past, statement: bytes) -> None:
    with past.connection.transaction():
        past.connection.execute("set local ledgerq.maintenance = on")
        past.connection.execute(statement)


def test_a_drop_and_the_row_that_says_so_are_one(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    assert past.connection.execute(DROPS).fetchall() == []
    dropped = drop(past.connection, Log.HEARTBEATS, part, by="me")
    assert dropped == Dropped("2026_02", 6 + 4)
    assert past.connection.execute(DROPS).fetchall() == [("2026_02", 10, part.first_position, part.last_position, "me")]
    assert past.names() == ["2026_01", "2026_03"]
    assert past.verified().findings == []


def test_a_session_of_a_dropped_month_has_no_number_of_heartbeats_and_not_too_few(past: Past) -> None:
    before = session_as_of(past.store, "s2", None)
    assert before is not None
    assert before.heartbeat_count
    part = past.part("2026_02")
    prepare(past, "2026_02")
    drop(past.connection, Log.HEARTBEATS, part, by="me")
    after = session_as_of(past.store, "s2", None)
    assert after is not None
    assert (after.heartbeat_count, after.last_heartbeat_at, after.state) == (None, None, "ended")


def test_auditors_see_what_was_dropped_and_which_archives_have_it(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SEALS_EACH", 2)
    part = past.part("2026_03")
    prepare(past, "2026_03")
    drop(past.connection, Log.HEARTBEATS, part, by="me")
    seen = "select part, event_count, dropped_by, archives from analytics.meta_dropped_parts"
    ((name, events, by, archives),) = past.connection.execute(seen).fetchall()
    assert (name, events, by) == ("2026_03", 10, "me")
    assert past.settings.archive_dir is not None
    holding = [
        path.name
        for path in sorted(past.settings.archive_dir.iterdir())
        if any(
            row.stream_id.startswith("heartbeat_batch-") and row.occurred_at.month == on(3).month
            for block in read_archive(path)
            for row in block.events
        )
    ]
    assert set(holding) <= set(archives.split(", "))
    assert len(holding) > 1


def test_months_may_go_in_any_order(past: Past) -> None:
    """Archives hold whole stretches, of which another month may have gone before."""
    before = past.heartbeats()
    for name in ("2026_03", "2026_01", "2026_02"):
        part = past.part(name)
        prepare(past, name)
        drop(past.connection, Log.HEARTBEATS, part, by="me")
        assert past.heartbeats() == before
        assert past.verified().findings == []


def test_a_part_that_has_grown_since_stays(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    past.tell(Heartbeat("late", on(2)))
    with pytest.raises(PartGrewError, match="2026_02 of log heartbeats has grown"):
        drop(past.connection, Log.HEARTBEATS, part, by="me")
    assert (past.names(), past.connection.execute(DROPS).fetchall()) == ([*MONTHS], [])


def test_what_is_in_no_archive_stays(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    maintain(past, b"delete from event_store.archives")
    with pytest.raises(PartNotArchivedError, match="2026_02 of log heartbeats is not archived up to position"):
        drop(past.connection, Log.HEARTBEATS, part, by="me")
    assert (past.names(), past.connection.execute(DROPS).fetchall()) == ([*MONTHS], [])


def test_a_part_of_which_no_digests_are_kept_stays(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    maintain(past, b"delete from event_store.dropped_leaves")
    with pytest.raises(Exception, match="event_count"):
        drop(past.connection, Log.HEARTBEATS, part, by="me")
    assert past.names() == [*MONTHS]


def test_an_event_that_goes_after_its_digest_was_kept_keeps_its_month(past: Past) -> None:
    prepare(past, "2026_02")
    part = past.part("2026_02")
    maintain(past, b"delete from event_store.heartbeat_events where position = %d" % (part.first_position or 0))
    with pytest.raises(PartDoubtfulError, match="2026_02 of log heartbeats has 9 events, and 10 digests"):
        keep_leaves(past.connection, Log.HEARTBEATS, part)


def test_who_has_the_log_open_is_not_waited_for_long_and_nothing_is_dropped(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    with database.connect(past.settings, name="reader") as reader, reader.transaction():
        reader.execute("select count(*) from event_store.heartbeat_events")
        with pytest.raises(LogInUseError):
            drop(past.connection, Log.HEARTBEATS, part, by="me")
    assert (past.names(), past.connection.execute(DROPS).fetchall()) == ([*MONTHS], [])
    assert drop(past.connection, Log.HEARTBEATS, part, by="me").part == "2026_02"


def test_who_is_killed_while_dropping_leaves_all_or_nothing(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    with (
        database.connect(past.settings, name="reader") as reader,
        database.connect(past.settings, name="dropping") as dropping,
        reader.transaction(),
    ):
        reader.execute("select count(*) from event_store.heartbeat_events")
        failed: list[Exception] = []

        def drop_it() -> None:
            try:
                drop(dropping, Log.HEARTBEATS, part, by="me")
            except Exception as error:  # noqa: BLE001  whatever it is
                failed.append(error)

        thread = threading.Thread(target=drop_it)
        thread.start()
        eventually(lambda: end_sessions(past.settings, like="%dropping%"))
        thread.join()
    assert len(failed) == 1
    assert (past.names(), past.connection.execute(DROPS).fetchall()) == ([*MONTHS], [])


def test_readers_find_everything_while_a_month_is_dropped(past: Past) -> None:
    before, over, found = past.heartbeats(), threading.Event(), []

    def keep_reading() -> None:
        while not over.is_set():
            found.append(past.heartbeats())

    reader = threading.Thread(target=keep_reading)
    reader.start()
    try:
        for name in MONTHS:
            part = past.part(name)
            prepare(past, name)
            drop(past.connection, Log.HEARTBEATS, part, by="me")
    finally:
        over.set()
        reader.join()
    assert len(found) > 1
    assert all(each == before for each in found)


def test_an_event_that_was_altered_after_it_was_sealed_keeps_its_month(past: Past) -> None:
    part = past.part("2026_02")
    altered = b"update event_store.heartbeat_events set name = 'x' where position = %d"
    maintain(past, altered % (part.last_position or 0))
    with pytest.raises(PartDoubtfulError, match=f"the event at position {part.last_position} of log heartbeats"):
        keep_leaves(past.connection, Log.HEARTBEATS, part)


def test_what_is_removed_beside_a_dropped_month_is_found(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    drop(past.connection, Log.HEARTBEATS, part, by="me")
    maintain(past, b"delete from event_store.heartbeat_events where position = 1")
    assert [(each.fault, each.position) for each in past.verified().findings] == [(Fault.REMOVED, 1)]


def test_a_digest_that_was_changed_is_found(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    drop(past.connection, Log.HEARTBEATS, part, by="me")
    maintain(
        past,
        b"""update event_store.dropped_leaves set leaves = set_byte(leaves, 39, 255 - get_byte(leaves, 39))
            where number = (select min(number) from event_store.dropped_leaves)""",
    )
    assert len(past.verified().findings) == 1


def test_digests_of_a_month_that_was_not_dropped_do_not_cover_for_its_events(past: Past) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    maintain(past, b"delete from event_store.heartbeat_events where position = %d" % (part.first_position or 0))
    assert [(each.fault, each.position) for each in past.verified().findings] == [(Fault.REMOVED, part.first_position)]


@pytest.mark.parametrize("table", ["archives", "drops", "dropped_leaves"])
def test_what_is_known_of_drops_is_append_only(past: Past, table: str) -> None:
    part = past.part("2026_02")
    prepare(past, "2026_02")
    drop(past.connection, Log.HEARTBEATS, part, by="me")
    with pytest.raises(Exception, match="append-only"):
        past.connection.execute(SQL("delete from {}").format(Identifier("event_store", table)))

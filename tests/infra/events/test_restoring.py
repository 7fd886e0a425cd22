from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.event_store import EventStore, Log
from infra.events import sealing
from infra.events.archiving import Span, archive
from infra.events.reading import Logged, LogReader
from infra.events.sealing import seal_all
from infra.events.seals import SealTable
from tests.infra.event_store.facts import facts
from tests.infra.events.conftest import Connection, Run
from tests.infra.events.happenings import record, started


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_EVENTS", dict.fromkeys(Log, 4))


def seal(connection: Connection) -> None:
    list(seal_all(SealTable(connection), Log.TASKS, now=datetime.now(UTC), key=None))


@pytest.fixture
def archived(store: EventStore, connection: Connection, tmp_path: Path) -> Path:
    """Ten events of the tasks log, in three blocks."""
    record(store, Log.TASKS, *(started(f"r{number}", number) for number in range(10)), correlation_id="c")
    seal(connection)
    path = tmp_path / "tasks.jsonl.gz"
    archive(connection, Log.TASKS, Span(None, None), to=path)
    return path


def maintain(connection: Connection, statement: bytes) -> None:
    with connection.transaction():
        connection.execute("set local ledgerq.maintenance = on")
        connection.execute(statement)


def rows(connection: Connection) -> list[Logged]:
    return list(LogReader(connection).between(Log.TASKS, 0, 100, limit=100))


def test_what_a_log_has_lost_is_put_back_in_its_place(
    archived: Path, connection: Connection, store: EventStore, run: Run
) -> None:
    before = rows(connection)
    maintain(connection, b"delete from event_store.task_events where position in (3, 6, 7, 10)")
    assert run("verify", "--log", "tasks").exit_code == 1
    done = run("restore", str(archived))
    assert (done.exit_code, done.stdout) == (0, "4 events put back; the log and the archive agree\n"), done.output
    assert rows(connection) == before
    assert run("verify", "--log", "tasks").exit_code == 0
    assert store.append(Log.TASKS, facts("next", [1])) == [11]
    assert run("restore", str(archived)).stdout.startswith("0 events put back")


def test_another_event_in_a_place_is_not_overwritten_and_its_block_stays_as_it_is(
    archived: Path, connection: Connection, run: Run
) -> None:
    maintain(connection, b"delete from event_store.task_events where position in (2, 6, 7)")
    maintain(connection, b"update event_store.task_events set name = 'task.failed' where position = 8")
    done = run("restore", str(archived))
    assert done.exit_code == 1
    assert "other events after position 4 up to 8" in done.stderr
    assert "1 events were put back before" in done.stderr
    assert [each.row.position for each in rows(connection)] == [1, 2, 3, 4, 5, 8, 9, 10]


def test_an_archive_of_another_log_is_refused(
    archived: Path, connection: Connection, store: EventStore, run: Run
) -> None:
    maintain(connection, b"delete from event_store.task_events; delete from event_store.seals")
    record(store, Log.TASKS, started("other"))
    seal(connection)
    done = run("restore", str(archived))
    assert (done.exit_code, "the archive is of another log" in done.stderr) == (1, True)
    assert len(rows(connection)) == 1


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (
            b"number >= 2",
            "log tasks agrees with the archive up to seal 1 (position 4), where its seals end: seal 2 and",
        ),
        (b"number = 3", "log tasks agrees with the archive up to seal 2 (position 8), where its seals end: seal 3 and"),
        (
            b"number = 2",
            "log tasks agrees with the archive up to seal 1 (position 4), but seal 2 is gone from its midst",
        ),
        (b"true", "log tasks has no seals"),
    ],
)
def test_where_seals_went_with_their_events_the_refusal_says_what_is_left_and_what_to_do(
    archived: Path, connection: Connection, run: Run, lost: bytes, reason: str
) -> None:
    maintain(connection, b"delete from event_store.task_events where position > 4")
    maintain(connection, b"delete from event_store.seals where " + lost)
    done = run("restore", str(archived))
    assert (done.exit_code, reason in done.stderr) == (1, True), done.stderr
    assert "from a backup of the database" in done.stderr
    assert "another log" not in done.stderr


def test_a_log_that_lost_its_end_and_went_on_is_not_taken_for_another_one(
    archived: Path, connection: Connection, store: EventStore, run: Run
) -> None:
    maintain(connection, b"delete from event_store.task_events where position > 4")
    maintain(connection, b"delete from event_store.seals where number > 1")
    record(store, Log.TASKS, started("later"))
    seal(connection)
    done = run("restore", str(archived))
    assert (done.exit_code, "but has another seal 2" in done.stderr) == (1, True), done.stderr
    assert [each.row.position for each in rows(connection)] == [1, 2, 3, 4, 11]


def test_an_archive_that_begins_behind_the_last_seal_of_a_log_is_refused(
    archived: Path, connection: Connection, run: Run, tmp_path: Path
) -> None:
    with gzip.open(archived) as file:
        lines = file.read().splitlines(keepends=True)
    path = tmp_path / "later.gz"
    with gzip.open(path, "wb") as file:
        file.writelines([lines[0], *lines[11:-1], b'{"kind":"end","events":2,"seals":1}\n'])
    maintain(connection, b"delete from event_store.seals where number > 1")
    done = run("restore", str(path))
    assert (done.exit_code, "end with seal 1, before the archive's first, 3" in done.stderr) == (1, True), done.stderr


def test_a_file_that_is_no_archive_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("x")
    done = run("restore", str(path))
    assert (done.exit_code, "cannot be read as an archive" in done.stderr) == (1, True)

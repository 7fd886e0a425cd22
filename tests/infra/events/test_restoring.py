from __future__ import annotations

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


@pytest.fixture
def archived(store: EventStore, connection: Connection, tmp_path: Path) -> Path:
    """Ten events of the tasks log, in three blocks."""
    record(store, Log.TASKS, *(started(f"r{number}", number) for number in range(10)), correlation_id="c")
    list(seal_all(SealTable(connection), Log.TASKS, now=datetime.now(UTC), key=None))
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


def test_an_archive_of_another_log_is_refused(archived: Path, connection: Connection, run: Run) -> None:
    maintain(connection, b"delete from event_store.task_events; delete from event_store.seals")
    done = run("restore", str(archived))
    assert (done.exit_code, "the archive is of another log" in done.stderr) == (1, True)
    assert rows(connection) == []


def test_a_file_that_is_no_archive_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("x")
    done = run("restore", str(path))
    assert (done.exit_code, "cannot be read as an archive" in done.stderr) == (1, True)

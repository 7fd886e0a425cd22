"""A broken promise is seen, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.cause import Cause
from domain.task_run import task_event
from infra import database
from infra.event_store import EventStore, Log, caused
from infra.local.chaos.load import CONFIRMED, MARKS
from infra.local.chaos.promises import Findings, Ledger
from infra.settings import Settings
from tests.infra.databases import empty, fresh_database

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def migrated(servers: Settings) -> Iterator[Settings]:
    with fresh_database(servers) as settings:
        database.migrate(settings)
        yield settings


class Books:
    def __init__(self, settings: Settings, directory: Path) -> None:
        self.url = settings.database_url.get_secret_value()
        self.directory = directory
        self.ledger = Ledger(self.url, directory)

    def tell(self, run: str, name: str, **data: Any) -> None:
        event = task_event(name, run, at=NOW, data={"task": "report", **data})
        with EventStore(self.url, connections=1, name="test") as store:
            store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test")))

    def confirm(self, kind: str, name: str) -> None:
        with (self.directory / CONFIRMED).open("a") as file:
            file.write(f"{kind} {name}\n")

    def mark(self, run: str, attempt: int) -> None:
        with (self.directory / MARKS).open("a") as file:
            file.write(f"{run} {attempt}\n")

    def sql(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def findings(self) -> Findings:
        return self.ledger.findings(cut=self.ledger.now(), differing=[])


@pytest.fixture
def books(migrated: Settings, tmp_path: Path) -> Books:
    """A run that was asked for, begun, and ended."""
    empty(migrated)
    made = Books(migrated, tmp_path)
    made.confirm("run", "r1")
    made.tell("r1", "task.requested")
    made.tell("r1", "task.started", attempt=1)
    made.tell("r1", "task.succeeded", attempt=1)
    made.mark("r1", 1)
    return made


def test_where_all_is_well_the_promises_were_kept(books: Books) -> None:
    found = books.findings()
    assert found.are_kept
    assert (found.events, found.ends, found.executions) == (3, {"task.succeeded": 1}, 1)
    assert (found.repeated, found.unrecorded) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "stream"), [("run", "task_run-x"), ("direct", "task_run-x"), ("session", "session-x")]
)
def test_what_was_confirmed_and_is_not_stored_is_named(books: Books, kind: str, stream: str) -> None:
    books.confirm(kind, "x")
    found = books.findings()
    assert found.unstored == [stream]
    assert not found.are_kept


def test_a_run_without_an_end_is_lost(books: Books) -> None:
    books.tell("r2", "task.requested")
    found = books.findings()
    (lost,) = found.lost
    assert lost.startswith("task_run-r2: task.requested at ")
    assert not found.are_kept
    assert "1 lost" in "\n".join(found.lines())


def test_a_run_with_two_ends_is_named(books: Books) -> None:
    books.sql(
        "insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at) "
        "values ('task_run-r1', 7777, 'task.failed', '{}', %s, now())",
        uuid4(),
    )
    found = books.findings()
    assert found.two_ends == ["task_run-r1"]
    assert not found.are_kept


def test_a_dead_letter_after_the_end_is_no_second_end(books: Books) -> None:
    books.tell("r2", "task.rejected", attempt=1, error_type="E", error="e")
    books.tell("r2", "task.dead_lettered", reason="rejected")
    assert books.findings().are_kept


def test_an_event_id_that_stands_for_two_events_is_counted(books: Books) -> None:
    same = UUID(int=1)
    for version in (7001, 7002):
        books.sql(
            "insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at) "
            "values ('task_run-r1', %s, 'task.started', '{}', %s, now())",
            version,
            same,
        )
    found = books.findings()
    assert found.ids_twice == 1
    assert not found.are_kept


def test_a_changed_row_of_a_read_model_changes_its_digest(books: Books) -> None:
    before = books.ledger.digests()
    books.sql("insert into read_model.sessions (session_id) values (%s)", str(uuid4()))
    after = books.ledger.digests()
    assert [table for table in after if after[table] != before[table]] == ["sessions"]


def test_executions_are_held_against_recorded_attempts(books: Books) -> None:
    books.mark("r1", 1)
    books.mark("r1", 2)
    found = books.findings()
    assert (found.executions, found.repeated, found.unrecorded) == (3, 1, 1)
    assert found.are_kept

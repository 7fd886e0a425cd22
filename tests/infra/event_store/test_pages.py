"""Reading a log page by page, past what one is not looking for and what cannot be read."""

from __future__ import annotations

from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg.types.json import Jsonb

from infra.event_store import EventStore, EventUnreadableError, Log
from tests.infra.event_store.facts import NOON, fact, facts

Connection = psycopg.Connection[tuple[object, ...]]


def test_pages_follow_one_another_and_end_where_the_log_ends(store: EventStore) -> None:
    positions = store.append(Log.TASKS, facts("s", range(1, 8)))

    pages = [store.read(Log.TASKS, after=0, limit=3)]
    while pages[-1].position < positions[-1]:
        pages.append(store.read(Log.TASKS, after=pages[-1].position, limit=3))

    assert [row.position for page in pages for row in page.events] == positions
    assert [len(page.events) for page in pages] == [3, 3, 1]
    assert store.read(Log.TASKS, after=positions[-1], limit=3) == ([], positions[-1], [])
    assert store.safe_position(Log.TASKS) == positions[-1]


def test_a_page_moves_past_events_of_other_names(store: EventStore) -> None:
    *_, last = store.append(Log.TASKS, facts("s", range(1, 8)))

    page = store.read(Log.TASKS, after=0, limit=3, names=["task.requested"])

    assert page == ([], last, [])


def test_a_page_of_names_holds_all_of_them_and_nothing_else(store: EventStore, connection: Connection) -> None:
    rare = []
    for number in range(5):
        store.append(Log.TASKS, facts(f"s{number}", range(1, 4)))
        rare.append(insert(connection, name="task.rare", stream=f"r{number}"))

    found: list[int] = []
    position = 0
    while position < store.safe_position(Log.TASKS):
        page = store.read(Log.TASKS, after=position, limit=2, names=["task.rare"])
        assert page.position > position
        found += [row.position for row in page.unreadable]
        position = page.position

    assert found == rare


def test_a_page_of_names_gets_past_stretches_without_any_of_them(
    store: EventStore, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.event_store.log_table.SCANNED_POSITIONS", 10)
    store.append(Log.TASKS, facts("s", range(1, 41)))
    connection.execute("select setval('event_store.task_events_position_seq', 1000000)")  # a hole
    last = insert(connection, name="task.rare", stream="r")

    position, looks = 0, 0
    while position < last:
        page = store.read(Log.TASKS, after=position, limit=2, names=["task.rare"])
        assert page.position > position
        position, looks = page.position, looks + 1

    assert [row.position for row in page.unreadable] == [last]
    assert looks < 10


@pytest.mark.parametrize(
    "columns",
    [
        {"name": "session.teleported"},
        {"name": "task.started", "data": {"task": "t"}},
        {"name": "task.started", "data": {"task": "t", "attempt": "first"}},
        {"name": "task.started", "data": ["t", 1]},
        {"name": "task.started", "data": "t"},
        {"name": "ingest.watermark_passed", "metadata": {"schema_version": 99}},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_is_reported_and_the_rest_is_read(
    store: EventStore, connection: Connection, columns: dict[str, str]
) -> None:
    before, _ = store.append(Log.TASKS, [fact("s", 1), fact("s", 2)])
    position = insert(connection, stream="odd", **columns)
    store.append(Log.TASKS, [fact("s", 3)])

    page = store.read(Log.TASKS, after=before, limit=10)

    assert [row.event.originator_version for row in page.events] == [2, 3]
    (unreadable,) = page.unreadable
    assert unreadable[:3] == (position, "odd", columns["name"])
    assert unreadable.reason
    with pytest.raises(EventUnreadableError, match="odd"):
        store.load(Log.TASKS, ["odd"])


def insert(connection: Connection, *, stream: str, name: str, **columns: object) -> int:
    """A row as another release would write it; its position."""
    row = {"stream": stream, "name": name, "data": {}, "metadata": {}, "at": NOON, "id": UUID(int=0), **columns}
    found = connection.execute(
        "insert into event_store.task_events (stream_id, version, name, data, metadata, event_id, occurred_at) "
        "values (%(stream)s, 1, %(name)s, %(data)s, %(metadata)s, %(id)s, %(at)s) returning position",
        {**row, "data": Jsonb(row["data"]), "metadata": Jsonb(row["metadata"])},
    ).fetchone()
    assert found is not None
    return msgspec.convert(found[0], int)

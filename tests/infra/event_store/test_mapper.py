"""What is stored stays readable: chosen names, golden samples of every released event, data brought up to date."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg.types.json import Jsonb

from domain.aggregate import EVENT_CLASSES, Event, event_class
from infra.event_store import EventStore, EventUnreadableError, Log, NewEvent
from infra.event_store.mapper import EventMapper
from tests.infra.event_store.facts import NOON, fact

GOLDEN = Path(__file__).parent / "golden"
RELEASED = sorted(
    (name, version)
    for name, cls in EVENT_CLASSES.items()
    if cls.__module__.startswith("domain.")
    for version in range(1, cls.class_version + 1)
)
EACH_RELEASED = pytest.mark.parametrize(("name", "version"), RELEASED, ids=[f"{n}-v{v}" for n, v in RELEASED])
INSERT = """
    insert into event_store.licensing_events (stream_id, version, name, occurred_at, event_id, metadata, data)
    values (%(stream_id)s, %(version)s, %(name)s, %(occurred_at)s, %(event_id)s, %(metadata)s, %(data)s)
"""

Connection = psycopg.Connection[tuple[object, ...]]


def golden(name: str, version: int = 1) -> dict[str, Any]:
    """The released sample of an event: its row without position and time of recording."""
    row: dict[str, Any] = msgspec.json.decode((GOLDEN / file_name(name, version)).read_bytes())
    return row


def file_name(name: str, version: int) -> str:
    return f"{name}.json" if version == 1 else f"{name}.v{version}.json"


BROUGHT_UP: dict[tuple[str, int], dict[str, Any]] = {
    ("license.issued", 1): {
        "license_id": "ACME-2024-0017",
        "holder": None,
        "holder_email": "ops@acme.example",
        "seats": 25,
        "valid_until": "2027-03-01T00:00:00Z",
        "policy": {
            "name": "default",
            "heartbeat_interval_seconds": 60.0,
            "patience_seconds": 420.0,
            "monitoring_starts": "creation",
            "on_lapse": "end",
            "resurrection": "10_minutes",
            "expiry": "restrict",
            "overage": "none",
        },
        "reason": None,
    },
    ("ingest.watermark_passed", 1): {},
    ("schedule.declared", 1): {
        "schedule": "cleanup_zombie_sessions",
        "terms": {
            "task": "ledgerq.cleanup_zombie_sessions",
            "timetable": {"kind": "interval", "every_seconds": 60.0, "anchor": "1970-01-01T00:00:00Z"},
            "kwargs": {"limit": 500},
            "tier": "high",
            "catch_up": "last",
            "catch_up_seconds": 86400.0,
            "overlap": "allow",
        },
        "since": None,
        "reason": None,
    },
    ("session.started", 1): {
        "session_id": "018f3b5e-2f7a-7c11-9d0e-5a4f2b6c8d10",
        "license_id": "ACME-2024-0017",
        "rules": {
            "policy": "default",
            "heartbeat_interval_seconds": 60.0,
            "patience_seconds": 420.0,
            "monitoring_starts": "creation",
            "on_lapse": "end",
            "resurrection": "10_minutes",
        },
        "host": "desk-7.acme.example",
    },
}
"""What samples of earlier shapes say in the present one, in full."""


def present(name: str, version: int) -> dict[str, Any]:
    """What a sample says in the present shape; a field added without a new version has its default besides."""
    said: dict[str, Any] = BROUGHT_UP.get((name, version)) or golden(name, version)["data"]
    return said


def insert(connection: Connection, row: dict[str, Any]) -> None:
    connection.execute(INSERT, {**row, "metadata": Jsonb(row["metadata"]), "data": Jsonb(row["data"])})


def test_every_version_of_every_event_has_a_golden_sample_and_every_sample_an_event() -> None:
    assert sorted(file.name for file in GOLDEN.glob("*.json")) == sorted(file_name(*each) for each in RELEASED)


def test_a_sample_of_an_earlier_version_has_its_present_shape_stated() -> None:
    earlier = {(name, version) for name, version in RELEASED if version < event_class(name).class_version}
    assert set(BROUGHT_UP) == earlier


@EACH_RELEASED
def test_a_released_event_still_loads_and_says_what_it_said(
    name: str, version: int, store: EventStore, connection: Connection
) -> None:
    row = golden(name, version)
    insert(connection, row)

    (recorded,) = store.read(Log.LICENSING, after=0, limit=1).events

    assert type(recorded.event) is event_class(name)
    assert recorded.event.originator_id == row["stream_id"]
    assert recorded.event.originator_version == row["version"]
    assert recorded.event.timestamp == datetime.fromisoformat(row["occurred_at"])
    assert recorded.event_id == UUID(row["event_id"])
    assert recorded.metadata == row["metadata"]
    said = msgspec.json.decode(msgspec.json.encode(recorded.event.data()))
    assert {field: said[field] for field in present(name, version)} == present(name, version)
    assert store.load(Log.LICENSING, [row["stream_id"]]) == {row["stream_id"]: [recorded.event]}


@EACH_RELEASED
def test_an_event_is_stored_under_its_chosen_name_and_without_any_python_path(
    name: str, version: int, store: EventStore, connection: Connection
) -> None:
    row = golden(name, version)
    insert(connection, row)
    (recorded,) = store.read(Log.LICENSING, after=0, limit=1).events
    store.append(Log.TASKS, [NewEvent(recorded.event, recorded.event_id, recorded.metadata)])

    found = connection.execute("select name, data, stream_id, metadata from event_store.task_events").fetchone()

    assert found is not None
    stored_name, data, stream_id, metadata = found
    cls = event_class(name)
    assert (stored_name, stream_id) == (name, row["stream_id"])
    in_version = {"schema_version": cls.class_version} if cls.class_version > 1 else {}
    assert metadata == {**row["metadata"], **in_version}
    assert isinstance(data, dict)
    said = present(name, version)
    assert {field: data[field] for field in said} == said  # a field added later has its default
    assert re.fullmatch(r"[a-z][a-z_]*(\.[a-z_]+)", name)
    text = msgspec.json.encode(found).decode()
    assert cls.__module__ not in text
    assert cls.__qualname__ not in text


class CountedOnce(Event, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "test.counted"
    count: int


class CountedInPairs(Event, frozen=True, kw_only=True):
    TOPIC: ClassVar[str] = "test.counted_in_pairs"
    class_version: ClassVar[int] = 2
    pairs: int

    @staticmethod
    def upcast_v1_v2(data: dict[str, Any]) -> None:
        data["pairs"] = data.pop("count") // 2


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`test.counted` as a later release knows it."""
    monkeypatch.setitem(EVENT_CLASSES, "test.counted", CountedInPairs)
    monkeypatch.setattr(CountedInPairs, "TOPIC", "test.counted")


def counted(version: int, **data: int) -> NewEvent:
    cls = event_class("test.counted")
    return NewEvent(cls(originator_id="c", originator_version=version, timestamp=NOON, **data), uuid4(), {})


@pytest.mark.usefixtures("renewed")
def test_an_event_of_an_earlier_shape_is_brought_to_the_present_one(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setitem(EVENT_CLASSES, "test.counted", CountedOnce)
        store.append(Log.TASKS, [counted(1, count=6)])
    store.append(Log.TASKS, [counted(2, pairs=4)])

    loaded = store.load(Log.TASKS, ["c"])["c"]

    assert [event.pairs for event in loaded if isinstance(event, CountedInPairs)] == [3, 4]


def test_an_event_of_a_later_shape_is_not_read_as_if_it_were_of_the_present_one(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setitem(EVENT_CLASSES, "test.counted", CountedInPairs)
        later.setattr(CountedInPairs, "TOPIC", "test.counted")
        store.append(Log.TASKS, [counted(1, pairs=4)])
    monkeypatch.setitem(EVENT_CLASSES, "test.counted", PairsOfThePast)

    page = store.read(Log.TASKS, after=0, limit=10)

    assert page.events == []
    assert [(row.name, row.stream_id) for row in page.unreadable] == [("test.counted", "c")]
    with pytest.raises(EventUnreadableError, match="cannot be read"):
        store.load(Log.TASKS, ["c"])


@pytest.mark.parametrize("column", ["data", "metadata"])
def test_a_row_that_holds_no_object_cannot_be_read_and_the_next_one_can(
    column: str, store: EventStore, connection: Connection
) -> None:
    row = golden("session.started")
    insert(connection, {**row, column: ["no", "object"]})
    insert(connection, {**row, "version": row["version"] + 1, "event_id": str(uuid4())})

    page = store.read(Log.LICENSING, after=0, limit=10)

    assert [found.name for found in page.unreadable] == ["session.started"]
    assert len(page.events) == 1


class PairsOfThePast(Event, frozen=True, kw_only=True):
    """Its data fits that of the later shape, and means something else."""

    TOPIC: ClassVar[str] = "test.pairs_of_the_past"
    pairs: int


def test_a_nul_character_in_a_text_is_stored_as_its_symbol(store: EventStore) -> None:
    name = "ingest.message_dead_lettered"
    fields = {**golden(name)["data"], "detail": "a\0b", "fragment": "\\u0000 stays"}
    event = event_class(name)(originator_id="dead", originator_version=1, timestamp=NOON, **fields)

    store.append(Log.LICENSING, [NewEvent(event, uuid4(), {"actor": "\0"})])

    (recorded,) = store.read(Log.LICENSING, after=0, limit=1).events
    assert recorded.event.data() == {**fields, "detail": "a␀b"}
    assert recorded.metadata == {"actor": "␀"}


def test_a_time_without_a_zone_is_refused_before_it_is_stored() -> None:
    unzoned = fact("s").event
    with pytest.raises(ValueError, match="time zone"):
        EventMapper().values(
            NewEvent(msgspec.structs.replace(unzoned, timestamp=NOON.replace(tzinfo=None)), uuid4(), {})
        )


def test_a_time_that_could_not_be_read_again_is_refused_before_it_is_stored() -> None:
    beyond = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2)))
    with pytest.raises(ValueError, match="9999"):
        EventMapper().values(NewEvent(msgspec.structs.replace(fact("s").event, timestamp=beyond), uuid4(), {}))

"""As-of answers in SQL are those of the replay in Python, which tests compare with a replay of whole logs."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from infra.event_store import Log
from infra.events.as_of import AsOf, By
from infra.tracing import ids
from projections.as_of import license_as_of, run_as_of, session_as_of
from projections.catalog import PROJECTIONS
from projections.skipping import skip
from projections.unskipping import unskip
from tests.projections.histories import History, at, minted, requested, told
from tests.projections.test_as_of import recorded_at_random
from tests.projections.world import World

DERIVED: dict[str, Callable[[Any], object]] = {
    "is_active": lambda row: row.state == "active",
    "is_open": lambda row: row.state == "active",
    "is_suspended": lambda row: row.suspended_because is not None,
    "is_admitting": lambda row: (
        row.state == "active" or (row.state == "expired" and row.expiry == "maintain" and row.suspended_because is None)
    ),
    "entitlements": lambda row: row.entitlements or None,
    "has_holder_email": lambda row: row.holder_email is not None,
    "is_ended": lambda row: row.ended_at is not None,
    "renewal_count": lambda row: row.renewals,
    "notice_count": lambda row: row.notices_sent,
    "lapse_count": lambda row: row.lapses,
    "attempt_count": lambda row: row.attempts,
    "trace_id": lambda row: row.trace_id or ids.trace_id(row.correlation_id),
}
"""Columns that SQL calls otherwise than the row of the read model."""

ASKS: dict[str, tuple[Callable[..., msgspec.Struct | None], Log]] = {
    "session": (session_as_of, Log.LICENSING),
    "license": (license_as_of, Log.LICENSING),
    "task": (run_as_of, Log.TASKS),
}


def asked(world: World, kind: str, thing: str, when: AsOf | None) -> dict[str, Any] | None:
    """What SQL answers."""
    values = {"id": thing, "at": when and when.instant, "by": (when.by if when else By.OCCURRED).value}
    question = f"select * from analytics.{kind}_as_of(%(id)s, %(at)s, %(by)s)"  # noqa: S608  one of three names
    rows = world.rows(question, **values)
    assert len(rows) <= 1
    return rows[0] if rows else None


def as_in_sql(row: msgspec.Struct, columns: list[str]) -> dict[str, object]:
    return {column: DERIVED[column](row) if column in DERIVED else getattr(row, column) for column in columns}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ASKS)
def test_an_answer_in_sql_is_that_of_the_replay(world: World, seed: int, kind: str) -> None:
    chance = random.Random(seed)
    ask, log = ASKS[kind]
    for of_log, events in History(seed, size=9).chunks():
        world.store.append(of_log, events)
    events = world.store.read(log, after=0, limit=10_000).events
    untrue = [each.event_id for each in chance.sample(events, 5) if each.event.name != "task.requested"]
    for event_id in untrue:
        skip(world.store, list(PROJECTIONS.values()), event_id, reason="untrue", by="ada", at=at(0))
    for event_id in untrue[:2]:
        unskip(world.store, list(PROJECTIONS.values()), event_id, reason="true", by="ada", at=at(86_400))
    for of_log in {log, Log.LICENSING}:
        recorded_at_random(world, of_log, seed)
    events = world.store.read(log, after=0, limit=10_000).events
    prefix = {"session": "session-", "license": "license-", "task": "task_run-"}[kind]
    streams = sorted({each.event.originator_id for each in events if each.event.originator_id.startswith(prefix)})
    times = sorted({each.event.timestamp for each in events} | {each.recorded_at for each in events})
    differ: set[datetime | str | None] = set()
    for stream in [*streams, f"{prefix}nobody"]:
        thing = stream.removeprefix(prefix)
        moments = [chance.choice(times) + timedelta(microseconds=chance.choice((-1, 0, 1))) for _ in range(6)]
        for when in [None, *(AsOf(moment, by) for moment in moments for by in By)]:
            row, answer = ask(world.store, thing, when), asked(world, kind, thing, when)
            assert (answer is None) == (row is None or row.state is None)  # type: ignore[attr-defined]  # all have it
            if answer is not None and row is not None:
                assert answer == as_in_sql(row, list(answer)), f"{thing} as of {when}"
            differ.add(answer and answer["state"])
    assert len(differ) > 2, "every answer was alike, so it would prove nothing"


def test_all_columns_are_those_of_the_facts(world: World) -> None:
    """Whoever asks as of an instant finds what he would find in the views, under the same names."""
    for kind, view in (("session", "fct_sessions"), ("license", "dim_licenses"), ("task", "fct_task_runs")):
        with world.connection.begin():
            functions = world.psycopg.execute(f"select * from analytics.{kind}_as_of('nobody')".encode())  # noqa: S608
            views = world.psycopg.execute(f"select * from analytics.{view} limit 0".encode())  # noqa: S608
            of_function, of_view = (
                {(column.name, column.type_code) for column in found.description or ()} for found in (functions, views)
            )
        assert {name for name, _ in of_function - of_view} <= {"runtime_seconds"}


def test_facts_of_earlier_shapes_mean_in_sql_what_they_mean_in_the_replay(world: World) -> None:
    issued = {"license_id": "l9", "holder_email": "a@example.org", "seats": 3, "valid_until": "2027-01-01T00:00:00Z"}
    began = {"session_id": "s9", "license_id": "l9", "host": None}
    for stream, name, data in (
        ("license-l9", "license.issued", {**issued, "patience_seconds": 90.0}),
        ("session-s9", "session.started", {**began, "patience_seconds": 90.0}),
    ):
        with world.connection.begin():
            world.psycopg.execute(
                """insert into event_store.licensing_events (stream_id, version, name, data, event_id, occurred_at)
                   values (%s, 1, %s, %s::jsonb, gen_random_uuid(), %s)""",
                (stream, name, msgspec.json.encode(data).decode(), at(0)),
            )
    for kind, thing, ask in (("license", "l9", license_as_of), ("session", "s9", session_as_of)):
        row, answer = ask(world.store, thing, None), asked(world, kind, thing, None)
        assert row is not None
        assert answer is not None
        assert answer == as_in_sql(row, list(answer))
        assert answer["patience_seconds"] == 90


def test_a_priority_is_the_one_that_the_queue_orders_by(world: World) -> None:
    for number, (tier, priority) in enumerate([("low", 9), ("critical", None), ("high", -3)]):
        world.record(Log.TASKS, requested(minted(number), tier=tier, priority=priority))
        answer = asked(world, "task", str(minted(number)), None)
        row = run_as_of(world.store, str(minted(number)), None)
        assert answer is not None
        assert row is not None
        assert (answer["tier"], answer["priority"]) == (tier, row.priority)


def test_a_run_that_ended_is_ended_whatever_is_told_of_it_afterwards(world: World) -> None:
    run = minted("a")
    world.record(Log.TASKS, requested(run), told(run, "failed", 5, attempt=1, error_type="E", error="no"))
    world.record(Log.TASKS, told(run, "dead_lettered", 6, reason="rejected", queue="tasks.low", priority=1))
    answer = asked(world, "task", str(run), None)
    assert answer is not None
    assert (answer["state"], answer["is_ended"], answer["ended_at"], answer["error"]) == ("failed", True, at(5), "no")


def test_a_time_that_is_none_is_refused_with_what_is_allowed(world: World) -> None:
    for kind in ASKS:
        question = f"select * from analytics.{kind}_as_of('x', now(), 'told')"  # noqa: S608  one of three names
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="occurred or recorded, not told"):
            world.rows(question)

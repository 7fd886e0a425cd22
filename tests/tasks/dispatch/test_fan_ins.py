"""What dispatch counts of fan-ins, and what it does with what their members have returned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.aggregate import Event
from domain.cause import Cause
from domain.fan_in import DECLARED, FanInCompleted, FanInDeclared, FanInFailed, fan_in_stream
from domain.task_run import TaskFailed, TaskRequested, TaskSucceeded, run_stream, task_event
from infra.event_store import EventStore, Log, caused
from infra.event_store.payloads import Payload, keep
from tasks.dispatch import settling
from tasks.dispatch.fan_ins import FanInFollower
from tests.tasks.dispatch.world import World


class FanIn:
    """A fan-in, and dispatch's follower of fan-ins."""

    def __init__(self, store: EventStore, *, members: int) -> None:
        self.store = store
        self.runs = [str(uuid4()) for _ in range(members)]
        self.body = str(uuid4())
        self.id = str(uuid4())

    def declare(self) -> None:
        """Its client declares it."""
        declared = FanInDeclared(
            originator_id=fan_in_stream(self.id),
            originator_version=DECLARED,
            timestamp=datetime.now(UTC),
            members=tuple((run,) for run in self.runs),
            body={"task": "total", "args": [], "kwargs": {}, "options": {"task_id": self.body}},
        )
        self._append(declared)

    def end(self, number: int, value: str | None) -> None:
        """A member returns this JSON text; None: it fails."""
        told = {"task": "a.task", "attempt": 1}
        how = {"result": value} if value is not None else {"error_type": "ValueError", "error": "no good"}
        name = TaskSucceeded.TOPIC if value is not None else TaskFailed.TOPIC
        self._append(task_event(name, self.runs[number], at=datetime.now(UTC), data={**told, **how}))

    def keep(self, number: int, value: bytes) -> None:
        """What is kept of a member's value beside the log."""
        with self.store.transaction() as transaction:
            keep(transaction.connection, [Payload(self.runs[number], value)], is_compressed=True)

    def look(self) -> None:
        """Dispatch looks until it finds nothing more to do."""
        follower = FanInFollower(self.store, clock=lambda: datetime.now(UTC), page_events=100)
        follower.take_over()
        while follower.step():
            pass

    def story(self) -> list[Event]:
        """What was recorded of it."""
        return self.store.load(Log.TASKS, [fan_in_stream(self.id)])[fan_in_stream(self.id)]

    def body_story(self) -> Sequence[Event]:
        """What was recorded of its body."""
        return self.store.load(Log.TASKS, [run_stream(self.body)]).get(run_stream(self.body), [])

    def _append(self, event: Event) -> None:
        self.store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=datetime.now(UTC), actor="test")))


def test_values_are_handed_on_in_order_whole_where_they_are_kept_beside_the_log(store: EventStore) -> None:
    fan_in = FanIn(store, members=3)
    fan_in.end(2, "null")
    fan_in.declare()
    fan_in.keep(1, b'"a long one"')
    fan_in.end(1, '"a lo')
    fan_in.look()
    fan_in.end(0, "1")
    fan_in.look()
    (requested,) = fan_in.body_story()
    assert isinstance(requested, TaskRequested)
    assert requested.args == ([1, "a long one", None],)


def test_values_that_are_too_long_together_fail_the_body(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "VALUES_LIMIT_BYTES", 1_000)
    fits, exceeds = FanIn(store, members=2), FanIn(store, members=2)
    for fan_in, length in ((fits, 400), (exceeds, 600)):
        fan_in.declare()
        for number in range(2):
            fan_in.end(number, f'"{"x" * length}"')
        fan_in.look()
    assert isinstance(fits.story()[-1], FanInCompleted)
    failed = exceeds.story()[-1]
    assert isinstance(failed, FanInFailed)
    assert failed.reason == "the members' values take more than 1000 bytes together"
    assert [type(each) for each in exceeds.body_story()] == [TaskFailed]


def test_what_has_settled_is_waited_for_no_longer(world: World) -> None:
    done, failed, still_open = (FanIn(world.store, members=2) for _ in range(3))
    for fan_in in (done, failed, still_open):
        fan_in.declare()
        fan_in.end(0, "1" if fan_in is not failed else None)
        fan_in.look()
    done.end(1, "2")
    failed.end(1, "2")
    done.look()
    assert [each.story()[-1].name for each in (done, failed, still_open)] == [
        "fan_in.completed",
        "fan_in.failed",
        "fan_in.declared",
    ]
    with world.store.transaction() as transaction:
        waiting = [
            transaction.connection.execute(f"select distinct fan_in_id from event_store.{table}".encode()).fetchall()  # noqa: S608
            for table in ("fan_in_members", "fan_in_places")
        ]
    assert waiting == [[(still_open.id,)]] * 2

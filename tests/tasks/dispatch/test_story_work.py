"""What the log knows of a story that was taken back ends, each run once, however often it is looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from domain.aggregate import Event
from domain.cause import Cause
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.story import story_stream
from domain.task_run import TaskRevocationRequested, run_stream, task_event
from infra.event_store import EventStore, Log, Recorded, caused
from tasks.dispatch import policies, story_work
from tasks.dispatch.fan_ins import FanInFollower
from tasks.dispatch.policies import PolicyFollower
from tasks.revoking import ask_for_revocation_of_story

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BODY = {"task": "total", "options": {"task_id": "body"}, "subtask_type": None}
CHAIN = {
    "task": "celery.chain",
    "kwargs": {"tasks": [BODY, {"task": "tell", "options": {"task_id": "last"}, "subtask_type": None}]},
    "subtask_type": "chain",
}


def append(store: EventStore, event: Event, story: str) -> None:
    store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=NOW, actor="test", correlation_id=story)))


def tell(store: EventStore, story: str, *names: str, run: str | None = None, **data: Any) -> str:
    """Have these events recorded of a run; its id."""
    run = run or str(uuid4())
    for name in names:
        attempt = {} if name == "task.requested" else {"attempt": 1}
        append(store, task_event(name, run, at=NOW, data={"task": "bill", **attempt, **data}), story)
    return run


def declare(store: EventStore, story: str, *members: str, body: dict[str, Any] = BODY) -> str:
    """Declare a fan-in; its stream."""
    stream = fan_in_stream(str(uuid4()))
    links = tuple((member,) for member in members)
    event = FanInDeclared(originator_id=stream, originator_version=1, timestamp=NOW, members=links, body=body)
    append(store, event, story)
    return stream


def take_back(store: EventStore, story: str) -> Recorded:
    """The fact that somebody takes the story back."""
    ask_for_revocation_of_story(store, story, reason="ordered twice", actor="pat", at=NOW)
    [fact] = store.load_recorded(Log.TASKS, [story_stream(story)])[story_stream(story)]
    return fact


def follow(store: EventStore) -> None:
    """Have a follower of the policies look at everything."""
    _until_quiet(PolicyFollower(store, clock=lambda: NOW, page_events=100, log=Log.TASKS))


def count(store: EventStore) -> None:
    """Have a follower of fan-ins look at everything."""
    _until_quiet(FanInFollower(store, clock=lambda: NOW, page_events=100))


def _until_quiet(follower: PolicyFollower | FanInFollower) -> None:
    follower.take_over()
    while follower.step():
        pass


def asked(store: EventStore) -> dict[str, Recorded]:
    found = store.read(Log.TASKS, after=0, limit=10_000).events
    return {e.event.originator_id: e for e in found if isinstance(e.event, TaskRevocationRequested)}


def names(store: EventStore, stream: str) -> list[str]:
    return [event.TOPIC for event in store.load(Log.TASKS, [stream]).get(stream, [])]


def test_open_runs_of_the_story_are_asked_for_and_no_others(store: EventStore) -> None:
    waiting = tell(store, "order 7", "task.requested")
    running = tell(store, "order 7", "task.requested", "task.started")
    called = tell(store, "order 7", "task.started")
    tell(store, "order 7", "task.requested", "task.succeeded")
    tell(store, "order 8", "task.requested")
    declare(store, "order 7", waiting)
    fact = take_back(store, "order 7")
    follow(store)
    found = asked(store)
    assert set(found) == {run_stream(run) for run in (waiting, running, called)}
    for each in found.values():
        assert (each.metadata["causation_id"], each.metadata["actor"]) == (str(fact.event_id), "pat")
        assert each.metadata["correlation_id"] == "order 7"
        told = each.event.data()
        assert (told["reason"], told["error_type"], told["decided_by"]) == (
            "ordered twice",
            "Revoked",
            str(fact.event_id),
        )
    follow(store)
    assert len(asked(store)) == 3


def test_a_story_of_many_runs_ends_a_part_at_a_time_and_goes_on_where_somebody_died(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "end_story", partial(story_work.end_story, events_at_once=3))
    runs = {run_stream(tell(store, "order 7", "task.requested", "task.started")) for _ in range(5)}
    take_back(store, "order 7")
    dying = PolicyFollower(store, clock=lambda: NOW, page_events=100, log=Log.TASKS)
    dying.take_over()
    dying.step()
    assert 0 < len(asked(store)) < 5
    follow(store)
    assert set(asked(store)) == runs


def test_a_fan_in_of_the_story_fails_at_once_and_its_body_is_revoked(store: EventStore) -> None:
    before, other = declare(store, "order 7", "m1", "m2", body=CHAIN), declare(store, "order 8", "m3")
    fact = take_back(store, "order 7")
    count(store)
    assert names(store, before) == ["fan_in.declared", "fan_in.failed"]
    assert names(store, other) == ["fan_in.declared"]
    assert names(store, run_stream("last")) == ["task.revoked"]
    [end] = store.load_recorded(Log.TASKS, [run_stream("body")])[run_stream("body")]
    assert end.event.data()["error"] == "ordered twice (asked for by pat)"
    assert end.event.data()["decided_by"] == end.metadata["causation_id"] == str(fact.event_id)


def test_a_fan_in_that_is_declared_later_fails_though_its_members_have_succeeded(store: EventStore) -> None:
    member = tell(store, "order 7", "task.succeeded")
    take_back(store, "order 7")
    late = declare(store, "order 7", member)
    count(store)
    assert names(store, late) == ["fan_in.declared", "fan_in.failed"]
    assert names(store, run_stream("body")) == ["task.revoked"]


def test_a_body_that_is_several_tasks_ends_whole_where_the_run_that_sends_it_is_revoked(store: EventStore) -> None:
    member = tell(store, "order 7", "task.succeeded")
    declare(store, "order 7", member, body=CHAIN)
    count(store)
    page = store.read(Log.TASKS, after=0, limit=100, names=("task.requested",))
    [sending] = [each.event.originator_id.removeprefix(run_stream("")) for each in page.events]
    fact = take_back(store, "order 7")
    follow(store)
    assert set(asked(store)) == {run_stream(sending)}
    end = {"task": "continue_workflow", "error_type": "Revoked", "error": "ordered twice (asked for by pat)"}
    tell(store, "order 7", "task.revoked", run=sending, **end, decided_by=str(fact.event_id))
    count(store)
    for run in ("body", "last"):
        [end_of_run] = store.load_recorded(Log.TASKS, [run_stream(run)])[run_stream(run)]
        assert end_of_run.event.data()["decided_by"] == str(fact.event_id)
        assert end_of_run.event.data()["error"] == "ordered twice (asked for by pat)"

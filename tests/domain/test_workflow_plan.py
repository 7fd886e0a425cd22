"""Which runs a chain and a fan-in plan, and where."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.chain import TaskChainRecorded
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.task_group import GroupSaved, group_stream, root_of
from domain.task_run import task_event
from domain.workflow_plan import places_of
from tests.projections.histories import at, chord, signature


def recorded(*links: dict[str, Any]) -> Any:
    data = {"task": "fetch", "attempt": 1, "links": links, "args": [], "kwargs": {}}
    return task_event(TaskChainRecorded.TOPIC, "first", at=at(0), data=data)


def declared(*members: tuple[str, ...], body: dict[str, Any], least: int | None = None) -> FanInDeclared:
    named = {"originator_id": fan_in_stream("g"), "originator_version": 1, "timestamp": at(0)}
    return FanInDeclared(members=members, body=body, least=least, **named)


def planned(event: Any) -> list[dict[str, Any]]:
    """What is said of each run; what is not said is left out."""
    told = [msgspec.structs.asdict(place) for place in places_of(event)]
    return [{name: value for name, value in each.items() if value is not None} for each in told]


def canvas(kind: str, task_id: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    named = {"task": f"celery.{kind}", "args": [], "subtask_type": kind, "options": {"task_id": task_id}}
    return {**named, "kwargs": {"tasks": list(tasks)}}


def test_the_links_of_a_chain_are_numbered_from_its_first_run() -> None:
    assert planned(recorded(signature("resize", "second"), signature("store", "third"))) == [
        {"run_id": "first", "task": "fetch", "chain_id": "first", "chain_step": 1},
        {"run_id": "second", "task": "resize", "chain_id": "first", "chain_step": 2},
        {"run_id": "third", "task": "store", "chain_id": "first", "chain_step": 3},
    ]


def test_a_run_that_begins_no_chain_plans_nothing() -> None:
    assert planned(recorded()) == []


def test_members_and_body_of_a_chord_that_is_a_link_are_of_its_step() -> None:
    fans = chord(
        "g",
        [signature("count", "m1"), canvas("chain", "m3", signature("read", "m2"), signature("count", "m3"))],
        signature("total", "b"),
    )
    of_step = {"chain_id": "first", "chain_step": 2}
    assert planned(recorded(fans, signature("tell", "last")))[1:] == [
        {"run_id": "m1", "task": "count", "group_id": "g", "member": 1, "link": 1, "branch": 1, **of_step},
        {"run_id": "m2", "task": "read", "group_id": "g", "member": 2, "link": 1, "branch": 2, **of_step},
        {"run_id": "m3", "task": "count", "group_id": "g", "member": 2, "link": 2, "branch": 2, **of_step},
        {"run_id": "b", "task": "total", "body_of": "g", "body_link": 1, **of_step},
        {"run_id": "last", "task": "tell", "chain_id": "first", "chain_step": 3},
    ]


def test_a_group_that_a_chain_ends_in_is_its_members() -> None:
    told = planned(recorded(canvas("group", "g", signature("mail", "m1"), signature("mail", "m2"))))
    assert [(each["run_id"], each["group_id"], each["member"], each["chain_step"]) for each in told[1:]] == [
        ("m1", "g", 1, 2),
        ("m2", "g", 2, 2),
    ]


def test_members_that_fan_out_themselves_are_known_once_their_fan_ins_are_declared() -> None:
    inner = chord("inner", [signature("count", "m1")], signature("total", "b1"))
    told = planned(recorded(chord("g", [inner, signature("count", "m2")], signature("total", "b"))))
    assert [(each["run_id"], each.get("member")) for each in told] == [("first", None), ("m2", 2), ("b", None)]


def test_a_fan_in_plans_its_members_and_every_run_of_its_body() -> None:
    body = signature("total", "b", chain=[signature("tell", "c")])
    assert planned(declared(("m1",), ("m2", "m3"), body=body, least=1)) == [
        {"run_id": "m1", "group_id": "g", "member": 1, "link": 1, "branch": 1},
        {"run_id": "m2", "group_id": "g", "member": 2, "link": 1, "branch": 2},
        {"run_id": "m3", "group_id": "g", "member": 2, "link": 2, "branch": 2},
        {"run_id": "b", "task": "total", "body_of": "g", "body_link": 1, "wanted": 1},
        {"run_id": "c", "task": "tell", "body_of": "g", "body_link": 2, "wanted": 1},
    ]


def test_other_events_plan_nothing() -> None:
    assert planned(task_event("task.succeeded", "first", at=at(0), data={"task": "fetch", "attempt": 1})) == []


def test_members_that_begin_with_the_same_run_are_one_branch() -> None:
    """A member that is a chain which ends in a group is as many members as the group has."""
    told = planned(declared(("a", "b"), ("a", "c"), ("d",), body=signature("total", "e")))
    assert [(each["run_id"], each["member"], each["branch"]) for each in told[:-1]] == [
        ("a", 1, 1),
        ("b", 1, 1),
        ("a", 2, 1),
        ("c", 2, 1),
        ("d", 3, 3),
    ]


def test_a_group_that_was_saved_plans_its_members() -> None:
    def run(run_id: str, before: Any = None) -> list[Any]:
        return [[run_id, before], None]

    ends_in_a_group = [["inner", run("c")], [run("d"), run("e")]]
    result = [["g", run("first")], [run("a"), run("b2", run("b1")), ends_in_a_group]]
    saved = GroupSaved(originator_id=group_stream("g"), originator_version=1, timestamp=at(0), result=result)
    assert [(each["run_id"], each["member"], each["link"], each["branch"]) for each in planned(saved)] == [
        ("a", 1, 1, 1),
        ("b1", 2, 1, 2),
        ("b2", 2, 2, 2),
        ("c", 3, 1, 3),
        ("d", 3, 2, 3),
        ("c", 4, 1, 3),
        ("e", 4, 2, 3),
    ]
    assert {each["group_id"] for each in planned(saved)} == {"g"}
    assert root_of(result) == "first"
    assert root_of([["g", None], []]) == "g"

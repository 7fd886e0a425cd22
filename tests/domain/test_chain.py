"""What a fork changes about a signature, and the steps that a fan-in stands for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.chain import anew, forked, steps_of_fan_in
from domain.fan_in import FanInDeclared, fan_in_stream

FORK = UUID("018f3b5e-3a01-7f22-8b1c-0d9e7c5a4b30")


def link(name: str, **options: Any) -> dict[str, Any]:
    signature = {"task": f"flow.{name}", "args": [], "kwargs": {}, "options": {"task_id": name, **options}}
    return {**signature, "subtask_type": None}


def canvas(kind: str, *, kwargs: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"task": f"celery.{kind}", "kwargs": kwargs, "options": {"task_id": kind, **options}, "subtask_type": kind}


def steps(body: dict[str, Any]) -> list[tuple[int, str, str, str | None]]:
    declared = FanInDeclared(
        originator_id=fan_in_stream("f"),
        originator_version=1,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        members=(("m",),),
        body=body,
    )
    return [(each.number, each.task, each.run_id, each.fan_in_id) for each in steps_of_fan_in(declared)]


def test_runs_and_groups_have_other_ids_in_a_fork_and_the_same_every_time() -> None:
    chord = canvas("chord", kwargs={"header": [link("a", group_id="g")], "body": link("b", chain=[link("c")])})
    made = forked(chord, FORK)
    assert made == forked(chord, FORK) != chord
    assert made["kwargs"]["header"][0]["options"] == {"task_id": anew("a", FORK), "group_id": anew("g", FORK)}
    assert made["kwargs"]["body"]["options"]["chain"][0]["options"]["task_id"] == anew("c", FORK)


def test_what_a_task_is_called_with_stays_as_it_is_whatever_its_arguments_are_called() -> None:
    told = {
        **link("a", reply_to="r", priority=3),
        "args": [{"task_id": "x"}],
        "kwargs": {"group_id": "x", "tasks": [1]},
    }
    made = forked(told, FORK)
    assert (made["args"], made["kwargs"]) == (told["args"], told["kwargs"])
    assert made["options"] == {"task_id": anew("a", FORK), "priority": 3}


B = (1, "flow.b", "b", "f")
C = (2, "flow.c", "c", None)
D = (3, "flow.d", "d", None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (link("b"), [B]),
        (link("b", chain=[link("d"), link("c")]), [B, C, D]),
        (canvas("chain", kwargs={"tasks": [link("b"), link("c")]}), [B, C]),
        (canvas("group", kwargs={"tasks": [link("b"), link("c")]}), [(1, "celery.group", "group", "f")]),
    ],
)
def test_a_fan_in_and_what_comes_behind_its_body_are_steps(body: dict[str, Any], expected: list[Any]) -> None:
    assert steps(body) == expected


def test_the_error_callbacks_of_a_chain_are_each_links() -> None:
    body = canvas("chain", kwargs={"tasks": [link("b"), link("c", link_error=["own"])]}, link_error=["all"])
    declared = FanInDeclared(
        originator_id=fan_in_stream("f"),
        originator_version=1,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        members=(("m",),),
        body=body,
    )
    assert steps_of_fan_in(declared)[1].signature["options"]["link_error"] == ["own", "all"]

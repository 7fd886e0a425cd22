from __future__ import annotations

from typing import Any

import pytest

from domain.signature import Step, errbacks_of, steps_of


def run(name: str, **options: Any) -> dict[str, Any]:
    return {"task": "flow.work", "options": {"task_id": name, **options}, "subtask_type": None}


def canvas(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"task": f"celery.{kind}", "kwargs": kwargs, "options": {"task_id": "not a run"}, "subtask_type": kind}


@pytest.mark.parametrize(
    ("signature", "runs"),
    [
        (run("a"), "a"),
        (canvas("chain", tasks=[run("a"), run("b")]), "ab"),
        (canvas("group", tasks=[run("a"), canvas("chain", tasks=[run("b"), run("c")])]), "abc"),
        (canvas("chord", header=canvas("group", tasks=[run("a"), run("b")]), body=run("c")), "abc"),
        (canvas("chord", header=[run("a"), run("b")], body=run("c")), "abc"),
        (run("a", chain=[run("c"), run("b")]), "abc"),
        (canvas("chain", tasks=[run("a"), run("a")]), "a"),
        (canvas("group", tasks=[]), ""),
    ],
)
def test_every_run_of_a_signature_is_found_once_whatever_its_shape(signature: dict[str, Any], runs: str) -> None:
    assert steps_of(signature) == [Step(name, "flow.work") for name in runs]


def failing(name: str, *errbacks: str) -> dict[str, Any]:
    return run(name, link_error=list(errbacks))


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        (run("a"), {"a": []}),
        (failing("a", "x", "y"), {"a": ["x", "y"]}),
        (canvas("group", tasks=[failing("a", "x"), failing("b", "y")]), {"a": ["x"], "b": ["y"]}),
        (canvas("chain", tasks=[failing("a", "x"), failing("b", "y")]), {"b": []}),
        (canvas("chord", header=[failing("a", "x")], body=failing("b", "y")), {"b": ["y"]}),
    ],
)
def test_error_callbacks_are_told_of_the_run_that_would_have_passed_a_value_on(
    signature: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    assert errbacks_of(signature) == expected


@pytest.mark.parametrize(("kind", "expected"), [("group", {"a": ["x", "y"], "b": ["y"]}), ("chain", {"b": ["y"]})])
def test_those_of_several_tasks_are_called_as_well_each_once(kind: str, expected: dict[str, list[str]]) -> None:
    signature = canvas(kind, tasks=[failing("a", "x", "y"), run("b")])
    signature["options"]["link_error"] = ["y"]
    assert errbacks_of(signature) == expected

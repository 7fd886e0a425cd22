from __future__ import annotations

from typing import Any

import pytest

from domain.signature import Step, steps_of


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

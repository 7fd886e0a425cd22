"""Which of Celery's signatures can be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import ValidationError

from domain.fan_in_body import check_body

TASK: dict[str, Any] = {
    "task": "flow.total",
    "args": [9],
    "kwargs": {},
    "options": {"task_id": "034fcee7", "reply_to": "f2335ff1", "priority": 3, "queue": "tasks.high", "link": []},
    "subtask_type": None,
    "immutable": False,
}


def canvas(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"task": f"celery.{kind}", "args": [], "kwargs": kwargs, "options": {}, "subtask_type": kind}


@pytest.mark.parametrize(
    "signature",
    [
        TASK,
        {"task": "t", "options": {"task_id": "a", "chain": [TASK]}},
        canvas("chain", tasks=[TASK, canvas("group", tasks=[TASK, TASK])]),
        canvas("chord", kwargs={}, header=[{"task": "t"}], body=TASK),
        canvas("chord", header=canvas("group", tasks=[]), body=canvas("chain", tasks=[TASK])),
    ],
)
def test_what_celery_freezes_is_taken(signature: dict[str, Any]) -> None:
    check_body(signature)


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        ({}, "`task`"),
        ({"task": "t"}, "task_id"),
        ({"task": 1, "options": {"task_id": "a"}}, "str"),
        ({"task": "t", "options": []}, "options"),
        ({"task": "t", "options": {"task_id": "a b"}}, "task_id"),
        ({"task": "t", "options": {"task_id": "a", "priority": 256}}, "priority"),
        ({"task": "t", "options": {"task_id": "a", "chain": ["b"]}}, "chain"),
        ({**TASK, "kwargs": 1}, "kwargs"),
        ({**TASK, "args": "ab"}, "args"),
        (canvas("chain", tasks=[{}]), "`task`"),
        (canvas("group", tasks=7), "object"),
        (canvas("chord", header=[], body={**TASK, "options": 1}), "options"),
    ],
)
def test_what_nothing_can_be_asked_for_by_is_refused(signature: dict[str, Any], why: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=why):
        check_body(signature)

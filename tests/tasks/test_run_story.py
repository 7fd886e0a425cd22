from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.run import TaskRun
from domain.task_run import TaskEvent, task_event
from tasks.run_story import tell

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def happened(name: str, seconds: float, **data: Any) -> TaskEvent:
    return task_event(name, "R1", at=NOW + timedelta(seconds=seconds), data={"task": "report", **data})


def story(*events: TaskEvent) -> list[str]:
    return tell(TaskRun.fold(list(events))).splitlines()


def test_the_story_is_told_in_the_run_s_own_order_with_the_time_since_its_beginning() -> None:
    head, *lines = story(
        happened("task.succeeded", 2.5, attempt=1, result="42", worker="w1"),
        happened("task.requested", 0, kwargs={"month": 5}, tier="high"),
        happened("task.started", 0.125, attempt=1),
    )
    assert head == "report · succeeded · 1 attempt · run R1"
    assert [line.split("task.")[1].split()[0] for line in lines] == ["requested", "started", "succeeded"]
    assert "+0.125 s" in lines[1]
    assert "tier=high" in lines[0]
    assert "kwargs={'month': 5}" in lines[0]
    assert " #1 task.succeeded" in lines[2]
    assert "result=42" in lines[2]


def test_long_and_many_lined_values_are_told_short_in_one_line() -> None:
    told = tell(TaskRun.fold([happened("task.failed", 0, attempt=1, error_type="E", error="a\nb" * 500)]))
    assert len(told.splitlines()) == 2
    assert "a ba ba" in told
    assert "…" in told
    assert len(told) < 400

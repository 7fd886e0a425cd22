"""A run's story as a person reads it: what happened, when, and how long after the beginning."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from domain.run import TaskRun
from domain.task_run import AttemptEvent, TaskEvent

VALUE_CHARACTERS: Final = 100
_SAID_ELSEWHERE: Final = frozenset({"task", "attempt", "traceback"})


def tell(run: TaskRun) -> str:
    """The run in a line, and a line for each of its events, in the order of the run's own logic (slots)."""
    began = min(event.timestamp for event in run.events)
    head = f"{run.task} · {run.state.value} · {_attempts(run.attempts)} · run {run.run_id}"
    return "\n".join([head, *(_line(event, after=event.timestamp - began) for event in run.events)])


def story_values(run: TaskRun) -> dict[str, Any]:
    """The same for programs, with all that each event says."""
    return {
        "run_id": run.run_id,
        "task": run.task,
        "state": run.state.value,
        "attempts": run.attempts,
        "events": [
            {"name": event.name, "version": event.originator_version, "occurred_at": event.timestamp, **event.data()}
            for event in run.events
        ],
    }


def _line(event: TaskEvent, *, after: timedelta) -> str:
    clock = event.timestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    number = f"#{event.attempt}" if isinstance(event, AttemptEvent) else ""
    details = "  ".join(
        f"{name}={_value(value)}" for name, value in event.data().items() if _worth_telling(name, value)
    )
    return f"  {clock}  {after.total_seconds():+10.3f} s  {number:>3} {event.TOPIC:<20} {details}".rstrip()


def _worth_telling(name: str, value: Any) -> bool:
    return name not in _SAID_ELSEWHERE and value not in (None, "", [], (), {})


def _value(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= VALUE_CHARACTERS else f"{text[: VALUE_CHARACTERS - 1]}…"


def _attempts(count: int) -> str:
    return f"{count} attempt" if count == 1 else f"{count} attempts"

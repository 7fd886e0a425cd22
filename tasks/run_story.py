"""A run's story as a person reads it: what happened, when, and how long after the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from domain.run import TaskRun
from domain.task_run import AttemptEvent, TaskEvent, order_of
from infra.event_store import Recorded
from infra.tracing.address import trace_of

VALUE_CHARACTERS: Final = 100
_SAID_ELSEWHERE: Final = frozenset({"task", "attempt", "traceback"})


class Story(NamedTuple):
    """A run, and the trace that it was accepted in; None: it names no story."""

    run: TaskRun
    trace_id: str | None

    @classmethod
    def of(cls, recorded: Sequence[Recorded]) -> Story | None:
        """The run that these events of one stream tell of; None where they tell of none."""
        told = [each for each in recorded if isinstance(each.event, TaskEvent)]
        if not told:
            return None
        first = min(told, key=lambda each: (order_of(each.event.originator_version), each.event.timestamp))
        events = [each.event for each in told if isinstance(each.event, TaskEvent)]
        return cls(TaskRun.fold(events), trace_of(first.metadata))


def tell(run: TaskRun, *, trace: str | None = None) -> str:
    """The run in a line, and a line for each of its events, in the order of the run's own logic (slots).

    Args:
        run: the run.
        trace: in which trace it is, as people are told.
    """
    began = min(event.timestamp for event in run.events)
    head = f"{run.task} · {run.state.value} · {_attempts(run.attempts)} · run {run.run_id}"
    where = [] if trace is None else [f"  trace {trace}"]
    return "\n".join([head, *where, *(_line(event, after=event.timestamp - began) for event in run.events)])


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

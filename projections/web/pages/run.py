"""One task: its events in the order of its own logic, its attempts, and where its time went."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from domain.run import TaskRun
from domain.task_run import AttemptEvent, TaskEvent, run_stream
from infra.event_store import Log, Recorded
from infra.tracing.address import address
from infra.web.page import Drawn, Visit
from infra.web.problem import Problem
from projections.web.pages import asked
from projections.web.pages.charts import split
from projections.web.pages.runs import OF_STORY

PARTS: Final = (*("dispatch", "queue", "eta", "paused", "limited", "deferred", "prefetched", "running", "retry_wait"),)
_MOST: Final = 20
_BAD: Final = frozenset({"failed", "timed_out", "lost", "rejected", "dead_lettered", "attempt_lost"})
_WAITS: Final = "select * from analytics.fct_task_waits where run_id = %(run_id)s"
_ATTEMPTS: Final = "select * from analytics.fct_task_attempts where run_id = %(run_id)s order by attempt"
_LETTER: Final = "select * from analytics.fct_dead_letters where run_id = %(run_id)s"
_REPLAYS: Final = """
    select run_id, new_run_id, replayed_at, replayed_by
    from read_model.replayed_runs
    where run_id = %(run_id)s or new_run_id = %(run_id)s
    order by replayed_at
"""
_KIN: Final = f"""
    select run_id, task, state, accepted_at
    from read_model.task_runs
    where {OF_STORY} and run_id <> %(run_id)s
    order by accepted_at
    limit %(most)s
"""  # noqa: S608  our own text
_WORKFLOW: Final = """
    select workflow_id from read_model.workflow_steps where run_id = %(run_id)s and workflow_id is not null
    union all
    select workflow_id from read_model.workflows where workflow_id = %(correlation_id)s and is_workflow
    limit 1
"""
_ROW: Final = "select * from analytics.fct_task_runs where run_id = %(run_id)s"


def show(visit: Visit) -> Drawn:
    """The page; the log tells the story, so it is there before the read model has it.

    Raises:
        Problem: nothing is recorded of such a run.
    """
    run_id = visit.path["run_id"]
    stream = run_stream(run_id)
    recorded = visit.desk.store.load_recorded(Log.TASKS, [stream]).get(stream, [])
    told = [each.event for each in recorded if isinstance(each.event, TaskEvent)]
    if not told:
        raise Problem(HTTPStatus.NOT_FOUND, f"nothing is recorded of a run {run_id}")
    run = TaskRun.fold(told)
    values = {"run": run, "stream": stream, "events": _timeline(run, recorded), **_read(visit, run_id)}
    return Drawn("run.html", {**values, "trace_url": _trace_url(visit, values["row"])})


def _read(visit: Visit, run_id: str) -> dict[str, Any]:
    with visit.desk.reading() as connection:

        def ask(statement: str, **more: Any) -> asked.Rows:
            return asked.ask(connection, statement, {"run_id": run_id, **more})

        row = next(iter(ask(_ROW)), None)
        waits = next(iter(ask(_WAITS)), None)
        story = row["correlation_id"] if row else None
        kin = ask(_KIN, correlation_id=story, most=_MOST) if story else []
        flow = next(iter(ask(_WORKFLOW, correlation_id=story)), None) if story else None
        return {
            "row": row,
            "waits": waits,
            "parts": split({name: waits[f"{name}_seconds"] for name in PARTS}) if waits else [],
            "attempts": ask(_ATTEMPTS),
            "letter": next(iter(ask(_LETTER)), None),
            "replays": ask(_REPLAYS),
            "kin": kin,
            "workflow_id": flow["workflow_id"] if flow else None,
        }


def _timeline(run: TaskRun, recorded: list[Recorded]) -> list[dict[str, Any]]:
    actors = {each.event.originator_version: each.metadata.get("actor") for each in recorded}
    began = min(event.timestamp for event in run.events)
    return [
        {
            "name": event.TOPIC,
            "at": event.timestamp,
            "after": (event.timestamp - began).total_seconds(),
            "attempt": event.attempt if isinstance(event, AttemptEvent) else None,
            "actor": actors.get(event.originator_version),
            "tone": _tone(event.TOPIC.partition(".")[2]),
            "data": _worth_telling(event.data()),
            "traceback": event.data().get("traceback"),
        }
        for event in run.events
    ]


def _worth_telling(data: dict[str, Any]) -> dict[str, Any]:
    """What an event says; what stands elsewhere on the page, or is empty, is left out."""
    left_out = {"task", "attempt", "traceback"}
    return {name: value for name, value in data.items() if name not in left_out and value not in (None, "", [], {}, ())}


def _tone(fact: str) -> str:
    if fact in _BAD:
        return "bad"
    return "good" if fact == "succeeded" else ""


def _trace_url(visit: Visit, row: dict[str, Any] | None) -> str | None:
    return address(row["trace_id"], visit.desk.settings) if row and row["trace_id"] else None

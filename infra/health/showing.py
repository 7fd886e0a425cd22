"""Health for people: a line per component on a terminal, with colors; plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from domain.tier import Tier
from infra.health.component import Component, Status
from infra.health.monitor import Health

COLORS: Final = {Status.HEALTHY: "green", Status.DEGRADED: "yellow", Status.UNHEALTHY: "bold red"}
MARKS: Final = {Status.HEALTHY: "●", Status.DEGRADED: "▲", Status.UNHEALTHY: "✖"}
"""Shapes too: not everybody sees the colors."""
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def lines(health: Health) -> Iterator[Text]:
    """A line per component: how it is, since when, and what is wrong or worth knowing."""
    now = datetime.now(UTC)
    yield Text.assemble("the platform is ", (health.status.value, COLORS[health.status]))
    for name, component in health.components.items():
        color = COLORS[component.status]
        said = [(_brief(component), ""), (component.detail or "", color), _since(component, now)]
        yield Text.assemble((f"{MARKS[component.status]} {name:<11}", color), *_joined(said))


def as_view(health: Health, *, note: str = "") -> RenderableType:
    """The same for a terminal, of any width, with the tasks that run at this moment."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(overflow="fold")
    for line in lines(health):
        grid.add_row(line)
    running = list(_running(health))
    if running:
        grid.add_row(Text("running", style="bold"))
        for line in running:
            grid.add_row(line)
    return Group(grid, Text(note, style="dim")) if note else grid


def _joined(said: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is not empty, with a blank before each."""
    return ((f" {text}", color) for text, color in said if text)


def _since(component: Component, now: datetime) -> tuple[str, str]:
    if component.status is Status.HEALTHY or component.since is None:
        return ("", "")
    return (f"(for {_span((now - component.since).total_seconds())})", "dim")


def _brief(component: Component) -> str:
    facts = component.facts
    if "answers_in_ms" in facts:
        return f"answers in {facts['answers_in_ms']} ms"
    if "queues" in facts:
        return _of_queues(facts["queues"])
    if "workers_count" in facts:
        return f"{facts['workers_count']} workers, {facts['active_tasks']} tasks running"
    if "processes" in facts:
        return _of_processes(facts["processes"])
    if "lag" in facts:
        events = sum(row["events"] or 0 for row in facts["lag"])
        seconds = max((row["seconds"] or 0.0 for row in facts["lag"]), default=0.0)
        return f"{events:,} events, {seconds:.1f} s behind"
    return "none" if facts.get("nodes") and component.status is Status.HEALTHY else ""


def _of_queues(queues: Mapping[str, Mapping[str, int] | None]) -> str:
    known = {name.removeprefix("tasks."): state["ready"] for name, state in queues.items() if state is not None}
    shown = ("ingest", *Tier, "dead", "ingest.dead")
    return " ".join(f"{name} {known[name]:,}" for name in shown if name in known)


def _of_processes(processes: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name} {state['status']}" for name, state in processes.items())


def _running(health: Health) -> Iterator[Text]:
    now = datetime.now(UTC)
    for name, worker in health.components["celery"].facts.get("workers", {}).items():
        for task in worker.get("active", ()):
            span = _span((now - datetime.fromisoformat(task["since"])).total_seconds())
            yield Text(f"  {task['task']} {task['run_id']} for {span} on {name}")


def _span(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < _DAY else f"{seconds / _DAY:.0f} d"

"""``ledgerq bench``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Final

import click

from infra.bench.ingest import IngestBench
from infra.bench.memory import by_process
from infra.bench.projections import ProjectionBench
from infra.bench.tasks import TaskBench
from infra.local.platform import Platform, platform
from infra.local.run import stoppable
from infra.settings import load_settings

GOALS: Final[dict[str, str]] = {
    "emit_visible_p50_ms": "",
    "emit_visible_p99_ms": "< 500",
    "ingest_messages_per_second": ">= 5000",
    "bare_messages_per_second": "(beside it: a plain pika consumer of the same messages that stores nothing)",
    "ingest_vs_bare_consumer": "",
    "paced_messages_per_second": "(asked for: 5000)",
    "paced_lag_ms": "",
    "heartbeats_per_second": ">= 50000",
    "largest_process_mb": "< 150",
    "task_vs_bare_celery": ">= 0.9",
    "task_strict_vs_bare_celery": "(nothing taken ahead)",
    "task_stored_vs_bare_celery": "(ingest stores meanwhile, on the same cores)",
    "task_10ms_vs_bare_celery": ">= 0.98",
    "projection_vs_copy": ">= 0.25",
    "projection_vs_library": ">= 40",
    "heartbeats_vs_row_per_event": ">= 3",
}
RUNNING: Final = ("latency", "singles", "paced", "batches", "memory")
"""Measurements of the whole platform at work."""
ALONE: Final = ("tasks", "ten_ms_tasks")
"""Measurements of a worker beside its peers."""
PROJECTING: Final = ("projection", "projected_heartbeats", "rebuild")
"""Measurements of the projector."""
SETTLING_SECONDS: Final = 3.0
"""What starting costs should not be measured with the rest."""


@click.command()
@click.option("--only", type=click.Choice([*RUNNING, *ALONE, *PROJECTING]), multiple=True)
@click.option("--quick", is_flag=True, help="A tenth of the work: an impression, not a figure.")
@click.option("--json", "as_json", is_flag=True, help="One flat JSON object instead of a table.")
def bench(*, only: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure speed and memory, of the whole platform and of a worker beside its peers, on databases of their own."""
    tell: Callable[[str], None] = lambda line: click.echo(line, err=True)  # noqa: E731
    asked = only or (*RUNNING, *ALONE, *PROJECTING)
    scale = 0.1 if quick else 1.0
    figures: dict[str, float] = {}
    with stoppable():
        for measure, known in (
            (_measure_running, RUNNING),
            (_measure_alone, ALONE),
            (_measure_projecting, PROJECTING),
        ):
            if wanted := [name for name in known if name in asked]:
                with platform(load_settings(), label="bench", tell=tell) as built:
                    figures |= measure(built, wanted, scale=scale, tell=tell)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        _print_table(figures)
    sys.exit(0)


def _measure_running(
    built: Platform, wanted: list[str], *, scale: float, tell: Callable[[str], None]
) -> dict[str, float]:
    built.start()
    built.wait_until_ready()
    time.sleep(SETTLING_SECONDS)
    runner = IngestBench(built.settings)
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "latency": lambda: runner.emit_visible(rounds=int(300 * scale)),
        "singles": lambda: runner.singles(messages=int(50_000 * scale)),
        "paced": lambda: runner.paced(per_second=5000, seconds=max(2, int(20 * scale))),
        "batches": lambda: runner.batches(messages=int(1000 * scale), heartbeats_each=500),
        "memory": lambda: _memory(built),
    }
    figures = _each(measurements, wanted, tell)
    runner.close()
    return figures


def _measure_alone(
    built: Platform, wanted: list[str], *, scale: float, tell: Callable[[str], None]
) -> dict[str, float]:
    rounds = 1 if scale < 1 else 3
    runner = TaskBench(built.settings, built.directory, built.environment)
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "tasks": lambda: runner.quick_tasks(runs=int(20_000 * max(scale, 0.2)), rounds=rounds, tell=tell),
        "ten_ms_tasks": lambda: runner.ten_millisecond_tasks(
            runs=int(3_000 * max(scale, 0.2)), rounds=rounds, tell=tell
        ),
    }
    figures = _each(measurements, wanted, tell)
    runner.close()
    return figures


def _measure_projecting(
    built: Platform, wanted: list[str], *, scale: float, tell: Callable[[str], None]
) -> dict[str, float]:
    rounds = 1 if scale < 1 else 3
    runner = ProjectionBench(built.settings, built.directory, built.environment)
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "projection": lambda: runner.rows(
            events=int(100_000 * max(scale, 0.3)), library_events=int(3_000 * max(scale, 0.3)), rounds=rounds
        ),
        "projected_heartbeats": lambda: runner.heartbeats(
            minutes=int(6 * max(scale, 0.3)), events=int(60_000 * max(scale, 0.3)), rounds=rounds
        ),
        "rebuild": lambda: runner.rebuild(events=int(1_000_000 * scale)),
    }
    figures = _each(measurements, wanted, tell)
    runner.close()
    return figures


def _each(
    measurements: dict[str, Callable[[], dict[str, float]]], wanted: list[str], tell: Callable[[str], None]
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name in wanted:
        tell(f"measuring {name}")
        figures |= measurements[name]()
    return figures


def _memory(built: Platform) -> dict[str, float]:
    held = by_process(built.supervisor)
    return {
        **{f"memory_{name.replace('-', '_')}_mb": megabytes for name, megabytes in held.items()},
        "largest_process_mb": max(held.values(), default=0.0),
    }


def _print_table(figures: dict[str, float]) -> None:
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        click.echo(f"{name:<{width}}  {value:>12,.2f}  {GOALS.get(name, '')}".rstrip())

"""``ledgerq bench``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Final

import click

from infra.bench.dispatch import DispatchBench
from infra.bench.fleet import FleetBench
from infra.bench.goals import GOALS
from infra.bench.ingest import IngestBench
from infra.bench.memory import by_process
from infra.bench.projections import ProjectionBench
from infra.bench.retention import RetentionBench
from infra.bench.store import StoreBench
from infra.bench.sweep import SweepBench
from infra.bench.table import rendered
from infra.bench.tasks import TaskBench
from infra.local.platform import Platform, platform
from infra.local.run import stoppable
from infra.settings import load_settings

RUNNING: Final = ("latency", "singles", "paced", "batches", "million_sessions", "memory")
"""Measurements of the whole platform at work."""
ALONE: Final = ("tasks", "ten_ms_tasks", "dispatch", "sweep")
"""Measurements of a worker and of dispatch beside their peers, and of the sweep."""
STORE: Final = ("append_batch", "append_batch4", "append_single", "append_single16", "append_lifecycle", "heartbeats")
"""Measurements of the event store against raw PostgreSQL and the stock library."""
PROJECTING: Final = ("projection", "projected_heartbeats", "rebuild")
"""Measurements of the projector."""
KEEPING: Final = ("retention",)
"""Measurements of dropping old months."""
SETTLING_SECONDS: Final = 3.0
"""What starting costs should not be measured with the rest."""


@click.command()
@click.option("--only", type=click.Choice([*RUNNING, *ALONE, *STORE, *PROJECTING, *KEEPING]), multiple=True)
@click.option("--quick", is_flag=True, help="A tenth of the work: an impression, not a figure.")
@click.option("--json", "as_json", is_flag=True, help="One flat JSON object instead of a table.")
def bench(*, only: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure speed and memory: of the whole platform, a worker and the event store, beside their limits and peers."""
    tell: Callable[[str], None] = lambda line: click.echo(line, err=True)  # noqa: E731
    asked = only or (*RUNNING, *ALONE, *STORE, *PROJECTING, *KEEPING)
    scale = 0.1 if quick else 1.0
    figures: dict[str, float] = {}
    with stoppable():
        for measure, known in (
            (_measure_running, RUNNING),
            (_measure_alone, ALONE),
            (_measure_store, STORE),
            (_measure_projecting, PROJECTING),
            (_measure_keeping, KEEPING),
        ):
            if wanted := [name for name in known if name in asked]:
                with platform(load_settings(), label="bench", tell=tell) as built:
                    figures |= measure(built, wanted, scale=scale, tell=tell)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        for line in rendered(figures, GOALS):
            click.echo(line)
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
        "million_sessions": lambda: _fleet(built, scale=scale, tell=tell),
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
    if "dispatch" in wanted:
        dispatch = DispatchBench(built.settings, built.directory, built.environment)
        measurements["dispatch"] = lambda: dispatch.measure(
            runs=int(10_000 * max(scale, 0.4)), rounds=rounds, tell=tell
        )
    sweep = SweepBench(built.settings, built.directory, built.environment)
    measurements["sweep"] = lambda: sweep.measure(sessions=int(100_000 * scale), tell=tell)
    figures = _each(measurements, wanted, tell)
    runner.close()
    return figures


def _measure_store(
    built: Platform, wanted: list[str], *, scale: float, tell: Callable[[str], None]
) -> dict[str, float]:
    runner = StoreBench(built.settings.database_url.get_secret_value(), scale=scale, tell=tell)
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "append_batch": runner.append_batch,
        "append_batch4": lambda: runner.append_batch(writers=4),
        "append_single": runner.append_single,
        "append_single16": runner.append_single16,
        "append_lifecycle": runner.append_lifecycle,
        "heartbeats": runner.heartbeats,
    }
    return _each(measurements, wanted, tell)


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


def _measure_keeping(
    built: Platform, wanted: list[str], *, scale: float, tell: Callable[[str], None]
) -> dict[str, float]:
    runner = RetentionBench(built.settings, built.directory / "archives", tell=tell)
    return _each({"retention": lambda: runner.measure(heartbeats=int(5_000_000 * scale))}, wanted, tell)


def _each(
    measurements: dict[str, Callable[[], dict[str, float]]], wanted: list[str], tell: Callable[[str], None]
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name in wanted:
        tell(f"measuring {name}")
        figures |= measurements[name]()
    return figures


def _fleet(built: Platform, *, scale: float, tell: Callable[[str], None]) -> dict[str, float]:
    fleet = FleetBench(built.settings, sessions=int(1_000_000 * scale), tell=tell)
    return fleet.lags(seconds=600 if scale == 1.0 else 20)


def _memory(built: Platform) -> dict[str, float]:
    held = by_process(built.supervisor)
    return {
        **{f"memory_{name.replace('-', '_')}_mb": megabytes for name, megabytes in held.items()},
        "largest_process_mb": max(held.values(), default=0.0),
    }

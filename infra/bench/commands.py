"""``ledgerq bench``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from infra import logs
from infra.bench.dispatch import DispatchBench
from infra.bench.effort import FULL, QUICK, Effort
from infra.bench.fleet import FleetBench
from infra.bench.goals import GOALS
from infra.bench.ingest import IngestBench
from infra.bench.long_log import LongLogBench
from infra.bench.memory import by_process
from infra.bench.metering import metered_tasks
from infra.bench.pages import PagesBench
from infra.bench.projections import ProjectionBench
from infra.bench.retention import RetentionBench
from infra.bench.sealed import SealBench
from infra.bench.store import StoreBench
from infra.bench.sweep import SweepBench
from infra.bench.table import rendered
from infra.bench.tasks import TaskBench
from infra.bench.tracing import traced_tasks
from infra.local.platform import Platform, platform, timed
from infra.local.run import stoppable
from infra.settings import load_settings

RUNNING: Final = ("latency", "singles", "paced", "batches", "million_sessions", "memory")
"""Measurements of the whole platform at work."""
ALONE: Final = ("tasks", "ten_ms_tasks", "tracing", "metrics", "dispatch", "sweep")
"""Measurements of a worker and of dispatch beside their peers, of what spans and metrics cost, and of the sweep."""
STORE: Final = (
    *("append_batch", "append_batch4", "append_single", "append_single16", "append_lifecycle"),
    *("append_sealed", "heartbeats"),
)
"""Measurements of the event store against raw PostgreSQL and the stock library, and of the cost of seals."""
PROJECTING: Final = ("projection", "projected_heartbeats", "rebuild")
"""Measurements of the projector."""
KEEPING: Final = ("retention",)
"""Measurements of dropping old months."""
LOOKING: Final = ("pages",)
"""Measurements of the operations page."""
ASKED_FOR: Final = ("ten_million",)
"""Measurements that are made where they are asked for, and not with all the others: they take their time and disk."""
USUAL: Final = (*RUNNING, *ALONE, *STORE, *PROJECTING, *KEEPING, *LOOKING)
Tell = Callable[[str], None]
SETTLING_SECONDS: Final = 3.0
"""What starting costs should not be measured with the rest."""


@click.command()
@click.option("--only", type=click.Choice([*USUAL, *ASKED_FOR]), multiple=True)
@click.option("--quick", is_flag=True, help="All of it in about a minute: an impression, not a figure.")
@click.option("--json", "as_json", is_flag=True, help="One flat JSON object instead of a table.")
def bench(*, only: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure speed and memory: of the whole platform, a worker and the event store, beside their limits and peers.

    All of it, or what --only names. ten_million is measured only where it is named: it fills a log with as many events,
    which takes 9 GB of disk and some ten minutes (with --quick a tenth of both).
    """
    tell: Tell = lambda line: click.echo(line, err=True)  # noqa: E731
    asked = only or USUAL
    effort = QUICK if quick else FULL
    figures: dict[str, float] = {}
    logs.configure(load_settings().model_copy(update={"log_level": "warning"}), stream=sys.stderr)
    with stoppable():
        for measure, known in (
            (_measure_running, RUNNING),
            (_measure_alone, ALONE),
            (_measure_store, STORE),
            (_measure_projecting, PROJECTING),
            (_measure_keeping, KEEPING),
            (_measure_looking, LOOKING),
            (_measure_asked_for, ASKED_FOR),
        ):
            if wanted := [name for name in known if name in asked]:
                with platform(load_settings(), label="bench", tell=tell) as built:
                    figures |= measure(built, wanted, effort, tell)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        for line in rendered(figures, GOALS):
            click.echo(line)
    sys.exit(0)


def _measure_running(built: Platform, wanted: list[str], effort: Effort, tell: Tell) -> dict[str, float]:
    built.start()
    built.wait_until_ready()
    time.sleep(SETTLING_SECONDS)
    runner = IngestBench(built.settings)
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "latency": lambda: runner.emit_visible(rounds=effort.emits),
        "singles": lambda: runner.singles(messages=effort.single_messages),
        "paced": lambda: runner.paced(per_second=5000, seconds=effort.paced_seconds),
        "batches": lambda: runner.batches(messages=effort.batches, heartbeats_each=500),
        "million_sessions": lambda: _fleet(built, effort, tell),
        "memory": lambda: _memory(built),
    }
    figures = _each(measurements, wanted, tell)
    runner.close()
    return figures


def _measure_alone(built: Platform, wanted: list[str], effort: Effort, tell: Tell) -> dict[str, float]:
    rounds, where = effort.rounds, (built.settings, built.directory, built.environment)

    def tasks(measure: Callable[[TaskBench], dict[str, float]]) -> dict[str, float]:
        with closing(TaskBench(*where)) as runner:  # no longer: a connection that nobody looks after is cut off
            return measure(runner)

    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "tasks": lambda: tasks(
            lambda runner: runner.quick_tasks(
                runs=effort.quick_tasks, rounds=rounds, with_all_peers=effort.with_all_peers, tell=tell
            )
        ),
        "ten_ms_tasks": lambda: tasks(
            lambda runner: runner.ten_millisecond_tasks(runs=effort.ten_millisecond_tasks, rounds=rounds, tell=tell)
        ),
        "tracing": lambda: tasks(
            lambda runner: traced_tasks(runner, runs=effort.quick_tasks, rounds=rounds, tell=tell)
        ),
        "metrics": lambda: tasks(
            lambda runner: metered_tasks(runner, runs=effort.quick_tasks, rounds=effort.close_rounds, tell=tell)
        ),
        "dispatch": lambda: DispatchBench(*where).measure(runs=effort.dispatched_runs, rounds=rounds, tell=tell),
        "sweep": lambda: SweepBench(*where).measure(sessions=effort.silent_sessions, tell=tell),
    }
    return _each(measurements, wanted, tell)


def _measure_store(built: Platform, wanted: list[str], effort: Effort, tell: Tell) -> dict[str, float]:
    runner = StoreBench(
        built.settings.database_url.get_secret_value(), scale=effort.store_part, rounds=effort.close_rounds, tell=tell
    )
    sealed = SealBench(built.settings, tell=tell)
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "append_batch": runner.append_batch,
        "append_batch4": lambda: runner.append_batch(writers=4),
        "append_single": runner.append_single,
        "append_single16": runner.append_single16,
        "append_lifecycle": runner.append_lifecycle,
        "append_sealed": lambda: sealed.measure(commits=effort.sealed_commits, rounds=effort.close_rounds),
        "heartbeats": runner.heartbeats,
    }
    return _each(measurements, wanted, tell)


def _measure_projecting(built: Platform, wanted: list[str], effort: Effort, tell: Tell) -> dict[str, float]:
    runner = ProjectionBench(built.settings, built.directory, built.environment)
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "projection": lambda: runner.rows(
            events=effort.projected_events, library_events=effort.projected_events // 30, rounds=effort.rounds
        ),
        "projected_heartbeats": lambda: runner.heartbeats(
            minutes=effort.heartbeat_minutes, events=effort.projected_events // 2, rounds=effort.rounds
        ),
        "rebuild": lambda: runner.rebuild(events=effort.rebuilt_events),
    }
    figures = _each(measurements, wanted, tell)
    runner.close()
    return figures


def _measure_keeping(built: Platform, wanted: list[str], effort: Effort, tell: Tell) -> dict[str, float]:
    with TemporaryDirectory(prefix="archives-", dir=built.directory) as archives:  # an earlier bench's are in the way
        runner = RetentionBench(built.settings, Path(archives), tell=tell)
        return _each({"retention": lambda: runner.measure(heartbeats=effort.dropped_heartbeats)}, wanted, tell)


def _measure_looking(built: Platform, wanted: list[str], effort: Effort, tell: Tell) -> dict[str, float]:
    runner = PagesBench(built.settings, built.environment, tell=tell)
    return _each({"pages": lambda: runner.measure(runs=effort.listed_runs, samples=10 * effort.rounds)}, wanted, tell)


def _measure_asked_for(built: Platform, wanted: list[str], effort: Effort, tell: Tell) -> dict[str, float]:
    runner = LongLogBench(built.settings, events=effort.long_log_events, tell=tell)
    figures = _each({"ten_million": runner.measure}, wanted, tell)
    runner.close()
    return figures


def _each(measurements: dict[str, Callable[[], dict[str, float]]], wanted: list[str], tell: Tell) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name in wanted:
        tell(f"measuring {name}")
        timed(f"measured {name}", lambda: figures.update(measurements[name]()), tell)  # noqa: B023  called at once
    return figures


def _fleet(built: Platform, effort: Effort, tell: Tell) -> dict[str, float]:
    return FleetBench(built.settings, sessions=effort.sessions, tell=tell).lags(seconds=effort.beating_seconds)


def _memory(built: Platform) -> dict[str, float]:
    held = by_process(built.supervisor)
    return {
        **{f"memory_{name.replace('-', '_')}_mb": megabytes for name, megabytes in held.items()},
        "largest_process_mb": max(held.values(), default=0.0),
    }

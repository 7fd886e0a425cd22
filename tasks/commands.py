"""Commands of the processes that do the work; each imports its process only when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from domain.tier import Tier


@click.command()
def ingest() -> None:
    """Store what services and workers emit, until SIGTERM."""
    _run("tasks.ingest.process")


@click.command()
def dispatch() -> None:
    """Turn events into tasks and publish them, until SIGTERM."""
    _run("tasks.dispatch.process")


@click.command()
def scheduler() -> None:
    """Fire schedules when their slots come, until SIGTERM."""
    _run("tasks.scheduler.process")


@click.command()
@click.option(
    "--tier", type=click.Choice([tier.value for tier in Tier]), help="The one tier to serve; default: all four."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 64), help="Pool children per tier; default: LEDGERQ_WORKER_CONCURRENCY."
)
def worker(tier: str | None, concurrency: int | None) -> None:
    """Run the tasks of one tier, or of all, until SIGTERM; running tasks are finished first."""
    _run("tasks.worker.process", Tier(tier) if tier else None, concurrency)


def _run(module: str, *arguments: Any) -> None:
    importlib.import_module(module).run(*arguments)

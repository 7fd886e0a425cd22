"""``ledgerq status``."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.live import Live

from infra.health.component import Status
from infra.health.monitor import Health, Monitor
from infra.health.showing import as_view, lines
from infra.settings import load_settings

NOT_WELL: Final = 1
"""Exit status where a component is not healthy."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as /health/detailed gives it.")
@click.option("--watch", is_flag=True, help="Stay and show changes, until Ctrl-C.")
def status(*, as_json: bool, watch: bool) -> None:
    """How the platform is: broker, database, workers and what they run, queues, lag, scheduler.

    Asks the servers itself; no monitor has to run. Exit status: 0 only if everything is healthy.
    """
    if as_json and watch:
        raise click.UsageError("--json shows one moment, --watch all of them: choose one")
    settings = load_settings()
    with Monitor(settings) as monitor:
        monitor.wait()
        if watch:
            _watch(monitor, every_seconds=settings.monitor_interval_seconds)
        health = monitor.health()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(health.as_values()), indent=2).decode())
    elif not watch:
        _print_once(health)
    sys.exit(0 if health.status is Status.HEALTHY else NOT_WELL)


def _print_once(health: Health) -> None:
    console = Console()
    if console.is_terminal:
        console.print(as_view(health))
    else:
        console.out("\n".join(line.plain for line in lines(health)), highlight=False)


def _watch(monitor: Monitor, *, every_seconds: float) -> None:
    console = Console()
    if not console.is_terminal:
        raise click.UsageError("--watch needs a terminal; --json is for programs")
    try:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                at = datetime.now(UTC).strftime("%H:%M:%S UTC")
                live.update(as_view(monitor.health(), note=f"{at} · Ctrl-C ends"), refresh=True)
                time.sleep(every_seconds)
    except KeyboardInterrupt:
        return

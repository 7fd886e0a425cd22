"""``ledgerq doctor``: the checks of :mod:`infra.doctor`, with what is to be known of tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import msgspec

from infra.broker.errors import BrokerError
from infra.doctor.examination import Expected, Report, examine
from infra.settings import load_settings
from tasks.app import app
from tasks.worker import pace


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: findings, and what could not be seen.")
def doctor(*, as_json: bool) -> None:
    """Name what is configured in a way that loses messages or breaks their order; status 1 if anything is."""
    try:
        report = examine(load_settings(), expected(), clock=lambda: datetime.now(UTC))
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(msgspec.json.encode(report).decode() if as_json else "\n".join(_lines(report)))
    if not report.is_healthy:
        raise click.exceptions.Exit(1)


def expected() -> Expected:
    """What the app knows of its tasks and workers."""
    app.loader.import_default_modules()
    limits = {name: task.time_limit or app.conf.task_time_limit for name, task in app.tasks.items()}
    return Expected(
        limits={name: timedelta(seconds=limit) for name, limit in limits.items() if limit},
        prefetch_per_child=app.conf.worker_prefetch_multiplier,
        prefetch_ahead=pace.MOST,
    )


def _lines(report: Report) -> list[str]:
    found = [str(finding) for finding in report.findings]
    return [*(found or ["Nothing is wrong."]), *map(str, report.unseen)]

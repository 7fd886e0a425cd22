"""``ledgerq trace``: what the log knows of a trace, as a tree, or sent once more to whoever shows traces."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec
import psycopg
from pydantic import SecretStr

from infra.database.door import connected, told_in_one_line
from infra.event_store import EventStore, EventUnreadableError
from infra.events.reading import LogReader
from infra.settings import Settings, load_settings
from infra.tracing.address import shown
from infra.words import WORDS
from projections.queries import runs_of_trace
from projections.traces.past import RUNS_AT_MOST, PastRun, past_runs
from projections.traces.spans import Told, told_of
from projections.traces.tree import lines, trees, values

PIPED_COLUMNS: Final = 200
LOOKED_FOR: Final = timedelta(seconds=30)
"""For so long the runs of a trace are looked for among all runs."""
_TRACE_ID: Final = re.compile("[0-9a-f]{32}")


class Found(NamedTuple):
    """The runs of which something was asked, and the spans that the log has of them."""

    runs: list[PastRun]
    told: list[Told]


@click.group()
def trace() -> None:
    """Traces of what is past, from the log: also of runs that nobody traced.

    Spans have the ids that they had when they were sent, or would have had.
    """


@trace.command()
@click.argument("name", metavar="RUN|TRACE", type=WORDS)
@click.option("--json", "as_json", is_flag=True, help="JSON lines, a span each, for programs.")
def show(name: str, *, as_json: bool) -> None:
    """Show the spans of a run (its id is Celery's task id) and of its replays, or of all runs of a trace, as trees."""
    settings = load_settings()
    found = _found(name, settings, command="trace show")
    if as_json:
        for each in found.told:
            click.echo(msgspec.json.encode(values(each)).decode())
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPED_COLUMNS
    for trace_id, branches in trees(found.told).items():
        click.echo(f"trace {shown(trace_id, settings)}")
        for line in lines(branches, width=width):
            click.echo(line)
    _say_what_is_open(found.runs)


@trace.command()
@click.argument("name", metavar="RUN|TRACE", type=WORDS)
@click.option(
    "--to", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write them there, as OTLP in JSON."
)
@click.option("--endpoint", metavar="URL", help="Send them there. Default: LEDGERQ_TRACING_ENDPOINT.")
def export(name: str, *, path: Path | None, endpoint: str | None) -> None:
    """Send the spans of a run and its replays, or of all runs of a trace, with their own times and ids.

    Sending them twice gives the same spans. What was sent while it happened is told more exactly there.
    """
    settings = _with_endpoint(load_settings(), endpoint)
    if path is None and settings.tracing_endpoint is None:
        raise click.UsageError("where to? Set LEDGERQ_TRACING_ENDPOINT, or give --endpoint URL or --to FILE")
    if path is not None and endpoint is not None:
        raise click.UsageError("--to FILE and --endpoint URL are two ways: give one")
    found = _found(name, settings, command="trace export")
    from projections.traces import otlp  # noqa: PLC0415  `trace show` needs nothing of OpenTelemetry's

    if path is not None:
        try:
            path.write_bytes(otlp.document(found.told) + b"\n")
        except OSError as error:
            raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from error
        where = str(path)
    else:
        where = str(settings.redacted()["tracing_endpoint"])
        if not otlp.send(found.told, settings):
            raise click.ClickException(f"{where} did not take the spans ({settings.tracing_protocol})")
    for trace_id in {each.span.context.trace_id: None for each in found.told}:
        click.echo(f"trace {shown(trace_id, settings)}")
    click.echo(f"{len(found.told)} spans to {where}", err=True)
    _say_what_is_open(found.runs)


def _with_endpoint(settings: Settings, endpoint: str | None) -> Settings:
    if endpoint is None:
        return settings
    if not endpoint.startswith(("http://", "https://")):
        raise click.BadParameter(f"{endpoint!r} does not begin with http:// or https://", param_hint="--endpoint")
    return settings.model_copy(update={"tracing_endpoint": SecretStr(endpoint)})


def _found(name: str, settings: Settings, *, command: str) -> Found:
    url = settings.database_url.get_secret_value()
    with (
        told_in_one_line(command),
        connected(command, settings) as connection,
        EventStore(url, connections=1, name=command) as store,
    ):
        reader = LogReader(connection)
        try:
            runs = past_runs(store, reader, [name])
            if not runs and _TRACE_ID.fullmatch(name):
                runs = past_runs(store, reader, _runs_of_trace(connection, name))
        except EventUnreadableError as error:
            raise click.ClickException(str(error)) from error
    if not runs:
        raise click.ClickException(f"nothing is recorded of a run or a trace {name}")
    if len(runs) == RUNS_AT_MOST:
        click.echo(f"these are the first {RUNS_AT_MOST} runs of the trace; there may be more", err=True)
    return Found(runs, told_of(runs))


def _runs_of_trace(connection: psycopg.Connection[Any], trace_id: str) -> list[str]:
    try:
        return runs_of_trace(connection, trace_id, RUNS_AT_MOST, within=LOOKED_FOR)
    except psycopg.errors.QueryCanceled as error:
        raise click.ClickException(
            f"trace {trace_id} was not found within {LOOKED_FOR.total_seconds():g} s, for all runs are looked at;"
            " give the id of one of its runs"
        ) from error


def _say_what_is_open(runs: Sequence[PastRun]) -> None:
    for run in runs:
        if not run.is_ended:
            click.echo(f"run {run.run_id} has not ended; these are its spans so far", err=True)

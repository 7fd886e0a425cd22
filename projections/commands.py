"""Commands about read models."""

from __future__ import annotations

import sys
from datetime import timedelta

import click
from rich.console import Console

from infra.database.door import connected
from projections import dictionary, presentation, process
from projections.catalog import PROJECTIONS
from projections.door import NAME
from projections.draft_commands import diff, rebuild, rollback, switch
from projections.lag_command import lag
from projections.report import make_report


@click.command()
@click.option("--only", "only", type=NAME, multiple=True, help="Keep this one only; may be given again. Default: all.")
def projector(only: tuple[str, ...]) -> None:
    """Keep the read models up to date, until SIGTERM; the batch in hand is finished first.

    Start a second one for standby: for each projection one leads and the other waits.
    """
    process.run(only)


@click.group()
def projection() -> None:
    """List projections, their lag; rebuild one beside the live one, compare, switch, roll back."""


@projection.command("list")
def list_() -> None:
    """Which projections there are, and what they answer."""
    answer = [
        {
            "projection": each.name,
            "answers": each.question,
            "follows": ", ".join(log.value for log in each.follows),
            "tables": ", ".join(table.fullname for table in each.tables),
        }
        for each in PROJECTIONS.values()
    ]
    presentation.print_answer(answer, Console())


@projection.command("dictionary")
@click.option(
    "--diagram", "is_diagram", is_flag=True, help="Which views join with which, as a Mermaid diagram, instead."
)
def dictionary_(*, is_diagram: bool) -> None:
    """The dictionary of the analytics views (docs/reference/analytics.md)."""
    with connected("projection dictionary") as connection:
        click.echo((dictionary.diagram if is_diagram else dictionary.page)(connection), nl=False)


for command in (lag, rebuild, diff, switch, rollback):
    projection.add_command(command)


@click.command()
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait, at most, for the tasks accepted by now to end.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def report(*, seconds: float, as_json: bool) -> None:
    """Report from the analytics views; does it balance?

    Of tasks, those accepted by now count. Exit status: 0 when each of them has one recorded end, 1 when not, 2 when the
    database cannot answer.
    """
    with connected("report") as connection:
        found = make_report(connection, wait=timedelta(seconds=seconds))
    if as_json:
        click.echo(presentation.encode(found.as_values()))
    else:
        presentation.print_report(found, Console())
    sys.exit(0 if found.conservation.is_balanced else 1)

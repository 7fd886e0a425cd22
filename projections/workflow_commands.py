"""``ledgerq workflow``: which chains, groups and chords there are, and the story of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console

from infra.database.door import connected
from infra.moments import moment
from infra.words import WORDS
from projections import presentation
from projections.workflow_list import STATES, WorkflowFilter, asking, story_of, workflow, workflows
from projections.workflow_reading import values_of
from projections.workflow_text import tell

COLUMNS: Final = {
    "workflow_id": "workflow_id",
    "kind": "kind",
    "first_task": "task",
    "state": "state",
    "began_at": "began_at",
    "total_seconds": "took_seconds",
    "step_count": "steps",
    "ended_count": "ended",
    "failed_count": "failed",
    "not_reached_count": "not_reached",
}
"""Columns of the view that people are shown, and what they are called then."""


@click.group("workflow")
def workflow_() -> None:
    """Workflows: list chains, groups and chords; show one as a tree."""


@workflow_.command("list")
@click.option("--state", type=click.Choice(STATES), help="Where they are.")
@click.option("--since", metavar="WHEN", help="Began since then: 2h, 30m, 7d, or a date and time (ISO 8601; UTC).")
@click.option("--task", type=WORDS, metavar="NAME", help="The task that began first.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most to show.")
@click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
def list_(*, state: str | None, since: str | None, task: str | None, limit: int, as_json: bool) -> None:
    """List workflows as the read models have them, those that began last first."""
    which = WorkflowFilter(state=state, task=task, since=moment(since, now=datetime.now(UTC), option="--since"))
    with connected("workflow list") as connection:
        rows = workflows(asking(connection), which, limit=limit)
    if as_json:
        click.echo(presentation.encode(rows))
        return
    presentation.print_answer([{COLUMNS[name]: row[name] for name in COLUMNS} for row in rows], Console())


@workflow_.command()
@click.argument("named", type=WORDS, metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def show(named: str, *, as_json: bool) -> None:
    """Show a workflow as a tree; ID is that of its story or of any of its runs, also of one that is planned."""
    with connected("workflow show") as connection:
        ask = asking(connection)
        story = story_of(ask, named)
        found = None if story is None else workflow(ask, story)
    if story is None:
        raise click.ClickException(f"the read models know no workflow {named}, and no run of that id")
    if found is None:
        raise click.ClickException(f"run {named} belongs to no workflow: its story has no other run")
    click.echo(presentation.encode(values_of(found)) if as_json else tell(found))

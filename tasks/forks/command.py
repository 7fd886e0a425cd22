"""``ledgerq run fork``: a chain or a chord again, from one of its steps on, or from where it failed."""

from __future__ import annotations

import getpass

import click

from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, EventUnreadableError, Log
from infra.settings import load_settings
from tasks.forks.planning import Fork, plan, start_named
from tasks.forks.records import Records
from tasks.forks.refusal import ForkRefusedError
from tasks.forks.workflow import workflow_of


@click.command()
@click.argument("named", metavar="ID")
@click.option(
    "--from",
    "step",
    required=True,
    help="Number of the step to begin with, from 1; its task's name (of a chord: its body's, with what its members"
    " returned); or `failed`: where it failed, of a chord with only those members again that failed.",
)
@click.option(
    "--as", "name", default="1", show_default=True, help="Tells several forks from one step apart; the same is one."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
def fork(named: str, *, step: str, name: str, dry_run: bool) -> None:
    """Do a chain or chord again from a step on; ID is that of any of its runs, or of a chord's group.

    It has to have ended, well or not. The steps before are not done again: what they returned is used. It is a new
    chain with ids and a story of its own.
    """
    url = load_settings().database_url.get_secret_value()
    try:
        with EventStore(url, connections=2, name="fork command") as store:
            workflow = workflow_of(Records(store), named)
            planned = plan(workflow, start_named(workflow, step), name=name, actor=getpass.getuser())
            if dry_run:
                click.echo(f"would ask for {planned.text}; the steps are:\n{workflow.listed()}")
                return
            click.echo(f"asked for {planned.text}" if _ask(store, planned) else f"asked for before: {planned.text}")
    except (ForkRefusedError, EventUnreadableError) as refusal:
        raise click.ClickException(str(refusal)) from refusal
    except DatabaseUnreachableError as error:
        raise click.ClickException(f"the database cannot be reached: {error}") from error


def _ask(store: EventStore, planned: Fork) -> bool:
    """Whether it is new; of one that is not, nothing is asked for, whatever has failed since."""
    forked, *others = planned.facts
    with store.transaction() as transaction:
        is_new = transaction.append_each(Log.TASKS, [forked])[0].outcome == "stored"
        if is_new:
            transaction.append_each(Log.TASKS, others)
    return is_new

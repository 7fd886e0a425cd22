"""``ledgerq run fork``: a chain again, from one of its steps on."""

from __future__ import annotations

import getpass

import click

from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, EventUnreadableError, Log
from infra.settings import load_settings
from tasks.forks.planning import Fork, ForkRefusedError, chain_in, plan, step_named


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--from", "step", required=True, help="Number of the step to begin with, from 1, or its task's name.")
@click.option(
    "--as", "name", default="1", show_default=True, help="Tells several forks from one step apart; the same is one."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
def fork(run_id: str, *, step: str, name: str, dry_run: bool) -> None:
    """Do a chain again from a step on; ID is that of any of its runs.

    The chain has to have ended, well or not. The steps before are not done again: what they returned is used. It is a
    new chain with ids and a story of its own.
    """
    url = load_settings().database_url.get_secret_value()
    try:
        with EventStore(url, connections=2, name="fork command") as store:
            chain = chain_in(store, run_id)
            planned = plan(store, chain, step_named(chain, step), name=name, actor=getpass.getuser())
            what = f"step {planned.step.number} ({planned.step.task}) as run {planned.run_id}"
            if dry_run:
                click.echo(f"would ask for {what}; the chain is:\n{chain.listed()}")
                return
            click.echo(f"asked for {what}" if _ask(store, planned) else f"asked for before: {what}")
    except (ForkRefusedError, EventUnreadableError) as refusal:
        raise click.ClickException(str(refusal)) from refusal
    except DatabaseUnreachableError as error:
        raise click.ClickException(f"the database cannot be reached: {error}") from error


def _ask(store: EventStore, planned: Fork) -> bool:
    """Whether it is new."""
    with store.transaction() as transaction:
        verdicts = transaction.append_each(Log.TASKS, planned.facts)
    return any(verdict.outcome == "stored" for verdict in verdicts)

"""``ledgerq fleet``."""

from __future__ import annotations

import click

from infra.broker.errors import BrokerError
from infra.settings import load_settings
from tasks.sample.fleet import play


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the fleet's chances.")
def fleet(*, seed: int) -> None:
    """Play the sample fleet for some twenty seconds: licenses, sessions, heartbeats, tasks of every fate."""
    try:
        sent = play(load_settings(), seed=seed)
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"the fleet sent {sent} tasks")

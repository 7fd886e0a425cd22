"""``ledgerq migrate``."""

from __future__ import annotations

import sys

import click

from infra.database.errors import DatabaseUnreachableError
from infra.database.migration import SchemaTooNewError
from infra.database.migration import migrate as bring_up_to_date
from infra.settings import load_settings


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date; safe to run at any time and from several places at once."""
    try:
        revision = bring_up_to_date(load_settings())
    except DatabaseUnreachableError as error:
        click.echo(f"ledgerq migrate: the database cannot be reached: {error}", err=True)
        sys.exit(1)
    except SchemaTooNewError as error:
        click.echo(f"ledgerq migrate: {error}", err=True)
        sys.exit(1)
    click.echo(f"The schema is at revision {revision}.")

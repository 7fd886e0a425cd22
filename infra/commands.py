"""Commands about the platform itself."""

from __future__ import annotations

import click

from infra.settings import PREFIX, load_settings


@click.command()
def settings() -> None:
    """Show the settings in force, passwords redacted."""
    for name, value in load_settings().redacted().items():
        click.echo(f"{PREFIX}{name.upper()}={'' if value is None else value}")

"""``ledgerq monitor``."""

from __future__ import annotations

import click


@click.command()
def monitor() -> None:
    """Tell over HTTP how the platform is, until SIGTERM: /live, /ready, /health/detailed."""
    from infra.health import process  # noqa: PLC0415  the web server, which `ledgerq status` does without

    process.run()

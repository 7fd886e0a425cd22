"""Asking before a request is sent whether the backlog of its tier has room; ingest would refuse it in silence."""

from __future__ import annotations

import click

from domain.tier import Tier
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore
from infra.settings import Settings


def check_backlog(settings: Settings, tier: Tier) -> None:
    """Return where there is room, where no limit is set, and where it cannot be said: then ingest decides.

    Raises:
        click.ClickException: the backlog is full.
    """
    limit = settings.tier_backlog_limit_runs
    if limit is None:
        return
    try:
        with EventStore(settings.database_url.get_secret_value(), connections=1, name="task command") as store:
            backlog = store.backlog(tier, most=limit)
    except DatabaseUnreachableError:
        click.echo("the backlog cannot be counted, the database is away; ingest will decide", err=True)
        return
    if backlog >= limit:
        raise click.ClickException(
            f"the backlog of tier {tier} is full: {limit} accepted runs wait to be published, the most that"
            " LEDGERQ_TIER_BACKLOG_LIMIT_RUNS allows; nothing was asked for. Ask later, or with --force"
        )

"""What commands about webhooks are given, and what they print."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import click
import msgspec

from infra.moments import stretch
from infra.settings import Settings, load_settings
from infra.webhooks.secrets import WebhookKeyMissingError

COMMAND: Final = "webhook"
LONGEST_OVERLAP_DAYS: Final = 30


def told_secret(make: Callable[[Settings, str, int], str], name: str, generation: int) -> str:
    """A secret, for whoever is to be told it.

    Raises:
        click.ClickException: there is no key that it derives from.
    """
    try:
        return make(load_settings(), name, generation)
    except WebhookKeyMissingError as error:
        raise click.ClickException(str(error)) from error


def overlap_of(text: str) -> timedelta:
    """How long two secrets are used, as an option says.

    Raises:
        click.BadParameter: it is no stretch of time, or longer than is allowed.
    """
    overlap = timedelta(seconds=stretch(text, option="--previous-for") or 0)
    if overlap > timedelta(days=LONGEST_OVERLAP_DAYS):
        raise click.BadParameter(f"allowed are 0 to {LONGEST_OVERLAP_DAYS} days", param_hint="--previous-for")
    return overlap


def as_text(value: Any) -> str:
    """JSON text."""
    return msgspec.json.encode(value).decode()

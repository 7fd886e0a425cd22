"""What commands about webhooks are given, and what they print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

from infra.settings import Settings, load_settings
from infra.webhooks.secrets import WebhookKeyMissingError

COMMAND: Final = "webhook"


def told_secret(make: Callable[[Settings, str, int], str], name: str, generation: int) -> str:
    """A secret, for whoever is to be told it.

    Raises:
        click.ClickException: there is no key that it derives from.
    """
    try:
        return make(load_settings(), name, generation)
    except WebhookKeyMissingError as error:
        raise click.ClickException(str(error)) from error


def as_text(value: Any) -> str:
    """JSON text."""
    return msgspec.json.encode(value).decode()

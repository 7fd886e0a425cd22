"""Secrets that webhooks are signed with: derived from one key of the settings, stored nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac

from infra.settings import Settings

PREFIX = "whsec_"
"""How a secret is written begins so (Standard Webhooks, "Signature scheme")."""


class WebhookKeyMissingError(Exception):
    """LEDGERQ_WEBHOOK_KEY is not set, so there are no secrets to sign webhooks with; set 32 characters or more."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def endpoint_secret(settings: Settings, name: str, generation: int) -> str:
    """The secret of an endpoint's generation, as its owner is told it.

    Raises:
        WebhookKeyMissingError: there is no key to derive it from.
    """
    return _derived(settings, f"endpoint/{name}/{generation}")


def hook_secret(settings: Settings, name: str, generation: int) -> str:
    """The secret of a hook's generation: what its caller has chosen, else a derived one.

    Raises:
        WebhookKeyMissingError: there is none, and no key to derive one from.
    """
    return chosen_secrets(settings).get(name) or _derived(settings, f"hook/{name}/{generation}")


def chosen_secrets(settings: Settings) -> dict[str, str]:
    """Secrets that callers have chosen, by the names of their hooks."""
    text = settings.webhook_secrets.get_secret_value() if settings.webhook_secrets else ""
    pairs = (part.strip().partition("=") for part in filter(None, text.split(",")))
    return {name: secret for name, _, secret in pairs}


def _derived(settings: Settings, purpose: str) -> str:
    """HMAC-SHA256 of the purpose; names have no slash, so no two purposes are the same text."""
    if settings.webhook_key is None:
        raise WebhookKeyMissingError
    key = settings.webhook_key.get_secret_value().encode()
    digest = hmac.new(key, f"ledgerq webhook secret/{purpose}".encode(), hashlib.sha256).digest()
    return PREFIX + base64.b64encode(digest).decode()

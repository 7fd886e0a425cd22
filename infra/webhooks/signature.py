"""Signatures of webhooks (Standard Webhooks 1.0): making them, and checking those of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from standardwebhooks import Webhook, WebhookVerificationError

TOLERANCE: Final = timedelta(minutes=5)
"""How far a call's time may be from ours; outside of that it may be a replay of somebody who listened."""
ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
MOST_SIGNATURES: Final = 16


class SignatureRefusedError(Exception):
    """A call is not signed as it has to be; the text says what is wrong, and nothing about the secret."""


class CallStaleError(SignatureRefusedError):
    """A call's time is too far from ours."""


def signed_headers(webhook_id: str, body: str, secrets: Iterable[str], *, at: datetime) -> dict[str, str]:
    """The headers of a delivery: one signature for each secret, so that a receiver may know the old or the new one."""
    signatures = (Webhook(secret).sign(webhook_id, at.astimezone(UTC), body) for secret in secrets)
    return {ID: webhook_id, TIMESTAMP: str(int(at.timestamp())), SIGNATURE: " ".join(signatures)}


def check_signature(body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, now: datetime) -> str:
    """See that a call is signed with one of the secrets, and just now.

    Args:
        body: as it came.
        headers: with names in lower case.
        secrets: any of which may have been used.
        now: the present, UTC.

    Returns:
        the call's ``webhook-id``.

    Raises:
        CallStaleError: it was signed, or so it says, more than :data:`TOLERANCE` ago or ahead.
        SignatureRefusedError: a header is missing, or no signature fits.
    """
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not headers.get(name)]
    if missing:
        raise SignatureRefusedError(f"missing: {', '.join(missing)}; a call has {ID}, {TIMESTAMP} and {SIGNATURE}")
    webhook_id = headers[ID]
    if len(webhook_id) > 255 or not webhook_id.isprintable():  # noqa: PLR2004  said in the text
        raise SignatureRefusedError(f"{ID} has 1 to 255 printable characters")
    _check_time(headers[TIMESTAMP], now)
    if len(headers[SIGNATURE].split(" ")) > MOST_SIGNATURES or not _fits(body, headers, secrets):
        raise SignatureRefusedError(
            f"no signature in {SIGNATURE} fits, or there is no such hook; signed is ID.TIMESTAMP.BODY"
        )
    return webhook_id


def _check_time(text: str, now: datetime) -> None:
    try:
        told = datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise SignatureRefusedError(f"{TIMESTAMP} is no number of seconds since 1970") from None
    if abs(now - told) > TOLERANCE:
        minutes = TOLERANCE.total_seconds() / 60
        raise CallStaleError(f"{TIMESTAMP} is {told.isoformat()}, more than {minutes:g} minutes from {now.isoformat()}")


def _fits(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> bool:
    """Whether any secret verifies; each is tried, so that how long it takes does not tell which one it was."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    named = {name: headers[name] for name in (ID, TIMESTAMP, SIGNATURE)}
    return sum(_verifies(body, named, secret) for secret in secrets) > 0


def _verifies(body: bytes, headers: dict[str, str], secret: str) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # a signature that is no base64, or has no version
        return False
    return True

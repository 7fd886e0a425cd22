"""A call is believed if it was signed with a secret of ours, just now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from infra.settings import Settings
from infra.webhooks.posting import retry_after_seconds
from infra.webhooks.secrets import WebhookKeyMissingError, endpoint_secret, hook_secret
from infra.webhooks.signature import CallStaleError, SignatureRefusedError, check_signature, signed_headers

KEYED = Settings(webhook_key=SecretStr("k" * 32))
SECRET = hook_secret(KEYED, "billing", 1)
BODY = b'{"paid": true}'


def signed(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    return signed_headers("msg_1", BODY.decode(), secrets or (SECRET,), at=at or datetime.now(UTC))


def test_what_we_sign_the_library_verifies_and_what_it_signs_we_do() -> None:
    assert Webhook(SECRET).verify(BODY, signed()) == {"paid": True}
    now = datetime.now(UTC)
    theirs = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, BODY.decode()),
    }
    assert check_signature(BODY, theirs, [SECRET], now=now) == "msg_1"


def test_any_of_the_secrets_in_force_will_do() -> None:
    other = hook_secret(KEYED, "billing", 2)
    assert check_signature(BODY, signed(), [other, SECRET], now=datetime.now(UTC)) == "msg_1"
    assert check_signature(BODY, signed(other, SECRET), [SECRET], now=datetime.now(UTC)) == "msg_1"


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "nonsense"},
        {"webhook-signature": "v1,ä"},
        {"webhook-signature": " ".join(["v1,AAAA"] * 50)},
        {"webhook-id": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "9" * 40},
        {"webhook-id": "x" * 300},
    ],
)
def test_anything_else_than_what_was_signed_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(SignatureRefusedError):
        check_signature(BODY, {**signed(), **changed}, [SECRET], now=datetime.now(UTC))


def test_a_body_that_was_changed_or_is_no_text_is_refused() -> None:
    for body in (BODY + b" ", b"\xff"):
        with pytest.raises(SignatureRefusedError, match="no signature"):
            check_signature(body, signed(), [SECRET], now=datetime.now(UTC))


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_call_from_too_long_ago_or_ahead_is_stale(minutes: int) -> None:
    now = datetime.now(UTC)
    with pytest.raises(CallStaleError, match="more than 5 minutes"):
        check_signature(BODY, signed(at=now + timedelta(minutes=minutes)), [SECRET], now=now)


def test_every_name_and_generation_has_a_secret_of_its_own_and_without_a_key_there_is_none() -> None:
    made = {make(KEYED, name, gen) for make in (endpoint_secret, hook_secret) for name in "ab" for gen in (1, 2)}
    assert len(made) == 8
    with pytest.raises(WebhookKeyMissingError, match="LEDGERQ_WEBHOOK_KEY"):
        endpoint_secret(Settings(webhook_key=None), "a", 1)


def test_a_secret_that_the_caller_chose_stands_in_the_settings() -> None:
    chosen = "whsec_" + "A" * 32
    settings = Settings(webhook_secrets=SecretStr(f"stripe={chosen}"), webhook_key=SecretStr("k" * 32))
    assert hook_secret(settings, "stripe", 7) == chosen
    assert hook_secret(settings, "other", 7) != chosen


@pytest.mark.parametrize("secret", ["A" * 32, "whsec_" + "A" * 23, "whsec_AAAA"])
def test_a_secret_that_nothing_can_be_signed_with_is_refused_when_settings_are_read(secret: str) -> None:
    with pytest.raises(ValueError, match="is allowed"):
        Settings(webhook_secrets=SecretStr(f"stripe={secret}"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Thu, 01 Jan 2025 00:00:00 GMT", 0),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_seconds(text, now=datetime(2026, 1, 1, tzinfo=UTC)) == seconds

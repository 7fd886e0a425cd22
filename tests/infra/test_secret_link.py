"""A link in a letter is readable for the platform alone, and only for the letter it was made for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from infra.secret_link import (
    LinkExpiredError,
    LinkInvalidError,
    LinkKeyInvalidError,
    LinkKeys,
    SecretLink,
    check_link,
    encrypt_link,
    new_key,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LINK = "https://example.org/reset?token=s3cr3t"


def secret(link: str = LINK, *, to: str = "ada@example.org", lives: timedelta = timedelta(hours=1)) -> SecretLink:
    return SecretLink(link=link, to=to, expires_at=NOW + lives)


def test_what_is_encrypted_to_the_public_key_is_opened_by_the_private_one_alone() -> None:
    keys = LinkKeys(new_key())
    encrypted = encrypt_link(secret(), keys.public)
    assert keys.open(encrypted) == secret()
    assert "s3cr3t" not in encrypted
    with pytest.raises(LinkInvalidError, match="not encrypted to this platform's key"):
        LinkKeys(new_key()).open(encrypted)


def test_the_same_link_never_looks_the_same() -> None:
    public = LinkKeys(new_key()).public
    assert encrypt_link(secret(), public) != encrypt_link(secret(), public)


def test_after_a_change_of_keys_older_links_are_still_opened() -> None:
    old, new = new_key(), new_key()
    encrypted = encrypt_link(secret(), LinkKeys(old).public)
    changed = LinkKeys(f"{new},{old}")
    assert changed.open(encrypted) == secret()
    assert changed.public == LinkKeys(new).public


@pytest.mark.parametrize("text", ["", "x", "not base64!", "é", "A" * 100, "Zm9v"])
def test_what_is_no_encrypted_link_is_refused_with_what_is_wanted(text: str) -> None:
    with pytest.raises(LinkInvalidError):
        LinkKeys(new_key()).open(text)


def test_a_changed_text_is_not_opened() -> None:
    keys = LinkKeys(new_key())
    encrypted = encrypt_link(secret(), keys.public)
    changed = encrypted[:60] + ("A" if encrypted[60] != "A" else "B") + encrypted[61:]
    with pytest.raises(LinkInvalidError):
        keys.open(changed)


def test_what_is_encrypted_has_to_be_a_link_for_somebody_until_some_time() -> None:
    keys = LinkKeys(new_key())
    odd: SecretLink = msgspec.defstruct("Odd", [("link", str)])(LINK)
    with pytest.raises(LinkInvalidError) as raised:
        keys.open(encrypt_link(odd, keys.public))
    assert "s3cr3t" not in str(raised.value)


def test_a_link_is_good_for_its_address_until_its_end() -> None:
    assert secret().check(to="ada@example.org", now=NOW) == secret()
    assert secret(to="info@bücher.org").check(to="info@xn--bcher-kva.org", now=NOW)
    with pytest.raises(LinkInvalidError, match="another address"):
        secret().check(to="eve@example.org", now=NOW)
    with pytest.raises(LinkExpiredError):
        secret().check(to="ada@example.org", now=NOW + timedelta(hours=1))
    with pytest.raises(LinkInvalidError, match="7 days"):
        secret(lives=timedelta(days=8)).check(to="ada@example.org", now=NOW)


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("http://example.org/", id="in the clear"),
        pytest.param("javascript:alert(1)", id="a script"),
        pytest.param("https:///nowhere", id="no host"),
        pytest.param("https://example.org@evil.org/", id="a user that looks like a host"),
        pytest.param("https://example.org/a b", id="a blank"),
        pytest.param("https://example.org/\r\nBcc: e@example.org", id="a line break"),
        pytest.param("https://exämple.org/", id="beyond ASCII"),
        pytest.param("https://[::1", id="half an address"),
        pytest.param("https://example.org/" + "x" * 2000, id="too long"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_letter_holds_no_such_link_and_the_error_does_not_show_it(link: str) -> None:
    with pytest.raises(LinkInvalidError, match="wanted is an https:// URL") as raised:
        check_link(link)
    assert not link or link not in str(raised.value)
    with pytest.raises(LinkInvalidError):
        secret(link).check(to="ada@example.org", now=NOW)
    with pytest.raises(LinkInvalidError):
        encrypt_link(secret(link), LinkKeys(new_key()).public)


@pytest.mark.parametrize("link", ["https://example.org", "https://example.org:8443/a?b=c#d", "http://localhost:8000/x"])
def test_a_letter_may_hold_such_a_link(link: str) -> None:
    check_link(link)


@pytest.mark.parametrize("key", ["", "x", "AAAA", "é" * 43, ","])
def test_what_is_no_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(LinkKeyInvalidError, match="32 bytes"):
        LinkKeys(key)
    with pytest.raises(LinkKeyInvalidError, match="32 bytes"):
        encrypt_link(secret(), key)

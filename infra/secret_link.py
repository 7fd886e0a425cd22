"""Links that only the letter's reader may see: encrypted by whoever asks for the letter, opened when it is written.

What a task is called with stands in the log for good, in the broker while it waits, and on the screens of people who
look at either. A link that lets its bearer set a password must not. So the sender encrypts it to the platform's public
key (libsodium's sealed box: X25519 and XSalsa20-Poly1305), together with the address it is for and the moment it
ends: nobody who copies the text out of the log can have it sent to another address, or read it without the private key.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from infra.mail import AddressInvalidError, MailAddress
from infra.mail.server import LOOPBACK

KEY_BYTES: Final = 32
LINK_CHARACTERS: Final = 2000
LONGEST_LIFE: Final = timedelta(days=7)
"""How far off the end of a link may be: it is a secret, and mailboxes are not safes."""


class LinkInvalidError(ValueError):
    """The link cannot be put into a letter; the text says why, and not what the link is."""


class LinkExpiredError(Exception):
    """The link has ended before its letter could be sent; a new one has to be asked for."""


class LinkKeyInvalidError(ValueError):
    """What stands where a key should is none."""


class SecretLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is encrypted, as JSON.

    Attributes:
        link: an ``https://`` URL.
        to: the address it is for.
        expires_at: when it ends, RFC 3339 with an offset.
    """

    link: str
    to: str
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]

    def check(self, *, to: str, now: datetime) -> Self:
        """The same, if it may be put into a letter to ``to`` now.

        Raises:
            LinkInvalidError: it is for somebody else, is no such URL, or ends too far off.
            LinkExpiredError: it has ended.
            AddressInvalidError: ``to`` is no address.
        """
        if not _is_same_address(self.to, to):
            raise LinkInvalidError("the link was made for another address than the letter's")
        check_link(self.link)
        if self.expires_at <= now:
            raise LinkExpiredError(f"the link ended at {self.expires_at.isoformat()}")
        if self.expires_at - now > LONGEST_LIFE:
            raise LinkInvalidError(f"the link would live for longer than {LONGEST_LIFE.days} days")
        return self


class LinkKeys:
    """The platform's private keys: links are encrypted to the first, and opened by any.

    Args:
        text: keys as :func:`new_key` gives them, with commas between them, the newest first.

    Raises:
        LinkKeyInvalidError: one of them is none.
    """

    def __init__(self, text: str) -> None:
        self._keys = [PrivateKey(_key_bytes(part.strip())) for part in text.split(",")]

    @property
    def public(self) -> str:
        """What senders encrypt to: 32 bytes as base64url without padding. No secret."""
        return _as_text(bytes(self._keys[0].public_key))

    def open(self, encrypted: str) -> SecretLink:
        """What was encrypted to one of the keys.

        Raises:
            LinkInvalidError: it was not, or is none of ours inside.
        """
        content = _bytes_of(encrypted)
        for key in self._keys:
            try:
                return msgspec.json.decode(SealedBox(key).decrypt(content), type=SecretLink)
            except (CryptoError, ValueError, msgspec.DecodeError):  # another key's, or none of ours
                continue
        raise LinkInvalidError("the link is not encrypted to this platform's key (ledgerq notice public-key)")


def new_key() -> str:
    """A new private key, for ``LEDGERQ_LINK_KEY``: 32 bytes as base64url without padding."""
    return _as_text(bytes(PrivateKey.generate()))


def encrypt_link(secret: SecretLink, public_key: str) -> str:
    """``secret`` so that only the platform can read it, as base64url without padding.

    Raises:
        LinkInvalidError: its link is none that a letter may hold.
        LinkKeyInvalidError: ``public_key`` is none.
    """
    check_link(secret.link)
    box = SealedBox(PublicKey(_key_bytes(public_key)))
    return _as_text(box.encrypt(msgspec.json.encode(secret)))


def check_link(link: str) -> None:
    """Check that a letter may hold ``link``: ``https://`` (``http://`` to this machine), a host, no user, in one line.

    Raises:
        LinkInvalidError: it may not.
    """
    wanted = f"wanted is an https:// URL of at most {LINK_CHARACTERS} printable ASCII characters, without a user"
    if len(link) > LINK_CHARACTERS or not link.isascii() or not link.isprintable() or " " in link:
        raise LinkInvalidError(f"the link is too long, or holds blanks, controls or letters beyond ASCII: {wanted}")
    try:
        parts = urlsplit(link)
        is_local = parts.scheme == "http" and parts.hostname in LOOPBACK
        is_fine = bool(parts.hostname) and "@" not in parts.netloc and (parts.scheme == "https" or is_local)
    except ValueError:
        is_fine = False
    if not is_fine:
        raise LinkInvalidError(f"the link is no such URL: {wanted}")


def _is_same_address(one: str, other: str) -> bool:
    told = MailAddress.parse(other)
    try:
        return MailAddress.parse(one) == told
    except AddressInvalidError:
        return False


def _key_bytes(text: str) -> bytes:
    try:
        key = _bytes_of(text)
    except LinkInvalidError:
        key = b""
    if len(key) != KEY_BYTES:
        raise LinkKeyInvalidError(f"a key for links is {KEY_BYTES} bytes as base64url (ledgerq notice new-key)")
    return key


def _bytes_of(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise LinkInvalidError("the encrypted link is no base64url text") from None


def _as_text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()

"""Passwords of the roles' users: made here or given, kept by the broker as a hash, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from infra.broker.granting import user_path
from infra.broker.management import ManagementApi
from infra.broker.roles import user_of
from infra.settings import Settings

SHORTEST: Final = 12
"""Characters of a password that is given."""
HASHING: Final = "rabbit_password_hashing_sha256"
"""How the broker is told that :func:`hash_of` hashes."""
_SALT_BYTES: Final = 4
_PASSWORD_BYTES: Final = 24


class UserMissingError(LookupError):
    """A role has no user on the broker yet."""


def new_password() -> str:
    """One that nobody guesses, of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def hash_of(password: str) -> str:
    """As the broker keeps it: salted, SHA-256, base64 (RabbitMQ documentation, "Credentials and Passwords")."""
    return _salted(secrets.token_bytes(_SALT_BYTES), password)


def set_password(api: ManagementApi, role: str, password: str) -> bool:
    """Let the role's user log in with ``password`` and with no other from now on; who is connected stays connected.

    Returns:
        False where that was its password already.

    Raises:
        UserMissingError: there is no such user yet.
        BrokerUnreachableError: the management API does not answer.
        BrokerRefusedError: its user is no administrator.
    """
    found = _user(api, role)
    if _is_password(password, found):
        return False
    hashed = {"password_hash": hash_of(password), "hashing_algorithm": HASHING}
    api.call("PUT", user_path(found["name"]), {**hashed, "tags": ",".join(found["tags"])})
    return True


def has_password(api: ManagementApi, role: str) -> bool:
    """Whether anybody can log in as the role's user. Raises as :func:`set_password`."""
    return bool(_user(api, role)["password_hash"])


def login_url(settings: Settings, role: str, *, vhost: str, password: str) -> str:
    """The broker URL with the login of a role in the place of the one it has."""
    parts = urlsplit(settings.broker_url.get_secret_value())
    login = f"{quote(user_of(role, vhost=vhost), safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def _user(api: ManagementApi, role: str) -> dict[str, Any]:
    name = user_of(role, vhost=api.vhost)
    found: dict[str, Any] | None = api.get(user_path(name))
    if found is None:
        raise UserMissingError(f"there is no user {name}; `ledgerq topology apply --all` makes it")
    return found


def _salted(salt: bytes, password: str) -> str:
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _is_password(password: str, user: dict[str, Any]) -> bool:
    kept = user["password_hash"]
    if not kept or user["hashing_algorithm"] != HASHING:
        return False
    return hmac.compare_digest(_salted(base64.b64decode(kept)[:_SALT_BYTES], password), kept)

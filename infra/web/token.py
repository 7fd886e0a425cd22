"""Tokens: made once, shown once, and known by the digest of their secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from infra.database.pool import ConnectionPool
from infra.web.role import Role

PREFIX: Final = "ledgerq"
REMEMBERED_SECONDS: Final = 5.0
"""How long a token that was looked up is taken for what it was; so long a revoked one may still be good."""
_FORM: Final = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_NO_DIGEST: Final = bytes(32)
_FIND: Final = """
    select token_id, name, role, digest, created_at, created_by, expires_at, revoked_at from access.api_tokens
"""


class Token(NamedTuple):
    """A token as it is kept."""

    token_id: str
    name: str
    role: str
    digest: bytes
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_good_at(self, now: datetime) -> bool:
        """Whether it has neither expired nor been revoked."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Bearer(NamedTuple):
    """Who asks.

    Attributes:
        name: of the token.
        role: what it is good for.
    """

    name: str
    role: Role

    @property
    def actor(self) -> str:
        """As it is recorded."""
        return f"token:{self.name}"


class TokenNameTakenError(ValueError):
    """A token of that name is good already; revoke it first, or take another name."""


def make(connection: psycopg.Connection[Any], *, name: str, role: Role, expires_at: datetime | None, by: str) -> str:
    """Make a token and return it; it cannot be had again.

    Raises:
        TokenNameTakenError: there is one of that name.
    """
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = (token_id, name, role.value, _digest(secret), by, expires_at)
    try:
        connection.execute(
            "insert into access.api_tokens (token_id, name, role, digest, created_by, expires_at)"
            " values (%s, %s, %s, %s, %s, %s)",
            row,
        )
    except psycopg.errors.UniqueViolation as error:
        raise TokenNameTakenError(f"there is a token {name!r}: revoke it first, or take another name") from error
    return f"{PREFIX}_{token_id}_{secret}"


def revoke(connection: psycopg.Connection[Any], *, name: str, by: str) -> bool:
    """Whether there was a token of that name to be revoked."""
    done = connection.execute(
        "update access.api_tokens set revoked_at = clock_timestamp(), revoked_by = %s"
        " where name = %s and revoked_at is null",
        (by, name),
    )
    return done.rowcount > 0


def every_token(connection: psycopg.Connection[Any]) -> list[Token]:
    """All that were ever made, the latest last."""
    with connection.cursor(row_factory=class_row(Token)) as cursor:
        return cursor.execute(f"{_FIND} order by created_at").fetchall()


class Doorkeeper:
    """Knows who a token is of; remembers those that there are for a few seconds. Safe to use from several threads.

    What there is not is not remembered: guesses seldom repeat, and they are to take up no memory.

    Args:
        pool: connections to the database.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Token]] = {}

    def has_met(self, text: str) -> bool:
        """Whether there was a token of this id when it was last looked up; its secret may be another."""
        form = _FORM.fullmatch(text)
        return form is not None and form[1] in self._known

    def bearer(self, text: str, *, now: datetime) -> Bearer | None:
        """Who asks with this token; None: nobody that is known, or no longer.

        Raises:
            DatabaseUnreachableError: it cannot be looked up.
        """
        form = _FORM.fullmatch(text)
        token = self._found(form[1]) if form else None
        # Compared even where there is none, in a time that does not tell how far the secret was right.
        matches = hmac.compare_digest(_digest(form[2] if form else ""), token.digest if token else _NO_DIGEST)
        if token is None or not matches or not token.is_good_at(now):
            return None
        return Bearer(token.name, Role(token.role))

    def _found(self, token_id: str) -> Token | None:
        known = self._known.get(token_id)
        if known is not None and time.monotonic() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Token)) as cursor:
            token = cursor.execute(f"{_FIND} where token_id = %s", [token_id]).fetchone()
        with self._lock:
            if token is not None:
                self._known[token_id] = (time.monotonic(), token)
        return token


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

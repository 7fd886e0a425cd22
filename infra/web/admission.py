"""Admission: who asks, and how often they may. Tokens are limited by name, strangers by the address they come from."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from infra.database.pool import ConnectionPool
from infra.settings import Settings
from infra.web.pace import Pace
from infra.web.problem import Problem
from infra.web.token import Bearer, Doorkeeper


class Admission:
    """One for all doors of a process: whoever guesses at one has guessed at all. For several threads.

    A stranger is whoever shows no token that is good, or calls a hook and is refused. An address whose strangers have
    used up what they may is refused without a look into the database; tokens that were met before are let in from there
    all the same.

    Args:
        pool: connections to the database.
        settings: how often each may ask.
    """

    def __init__(self, pool: ConnectionPool, settings: Settings) -> None:
        self._keeper = Doorkeeper(pool)
        self._per_second = settings.web_requests_per_second
        self._known = Pace(settings.web_requests_per_second)
        self._callers = Pace(settings.web_requests_per_second)
        self._strangers = Pace(settings.web_stranger_requests_per_second)

    def bearer(self, text: str, *, client: str, now: datetime) -> Bearer | None:
        """Who asks with this token; None: nobody that is known, or no longer.

        Args:
            text: the token; empty: none.
            client: the address that asks.
            now: the present, UTC.

        Raises:
            DatabaseUnreachableError: it cannot be looked up.
            Problem: 429, the token, or strangers from there, have asked too often.
        """
        is_met = self._keeper.has_met(text)
        if not is_met:
            self.stranger(client)
        bearer = self._keeper.bearer(text, now=now)
        if bearer is None:
            if is_met:  # the secret is wrong, or the token is no longer good
                self.stranger(client)
            return None
        if wait := self._known.wait_seconds(bearer.name):
            raise _too_many(f"token {bearer.name} may ask {self._per_second:g} times a second", wait)
        return bearer

    def stranger(self, client: str) -> None:
        """Count a request of somebody who is not known.

        Raises:
            Problem: 429, there were too many from there.
        """
        if wait := self._strangers.wait_seconds(client):
            raise _too_many(f"too many requests without a good token or signature come from {client}", wait)

    def caller(self, client: str) -> None:
        """Count a call of a hook, whose signature is still to be looked at.

        Raises:
            Problem: 429, there were too many from there, or too many that had to be refused.
        """
        if wait := self._strangers.wait_seconds(client, is_counted=False):
            raise _too_many(f"too many calls from {client} had to be refused", wait)
        if wait := self._callers.wait_seconds(client):
            raise _too_many(f"hooks may be called {self._per_second:g} times a second from {client}", wait)


def _too_many(said: str, wait_seconds: float) -> Problem:
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, said, headers={"retry-after": str(int(wait_seconds) + 1)})

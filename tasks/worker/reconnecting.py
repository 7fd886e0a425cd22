"""How a worker goes on that its broker refuses: it says so once, and tries again less and less often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
TURN_SECONDS: Final = 1.0

_log = structlog.get_logger("ledgerq.worker")


class Reconnecting:
    """Used by the consumer's thread alone.

    kombu tries again by itself, with pauses, as long as the broker is away. What is refused (a login, a virtual host,
    a right, a queue that is not there) it leaves to Celery, which would try again at once, and for ever.

    Args:
        turn: called about once a second during a pause; what it raises ends the pause.
    """

    def __init__(self, turn: Callable[[], None]) -> None:
        self._turn = turn
        self._pause_seconds = 0.0
        self._told: str | None = None
        self._was_accepted = False

    def accepted(self) -> None:
        """Messages are coming."""
        self._was_accepted = True
        self._pause_seconds = 0.0
        self._told = None

    def away(self) -> None:
        """The broker does not answer, which kombu says; a refusal after that is news again."""
        self._told = None

    def lost(self, error: BaseException) -> None:
        """A connection ended; pauses only where no message could come on it."""
        if self._was_accepted:
            self._was_accepted = False
        else:
            self.refused(error)

    def refused(self, error: BaseException) -> None:
        """The broker said no; returns when it is time to try again."""
        self._was_accepted = False
        self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), LONGEST_PAUSE_SECONDS)
        if (detail := str(error)) != self._told:
            _log.error("the broker refuses this worker, which goes on trying", detail=detail)
        self._told = detail
        until = time.monotonic() + self._pause_seconds
        while (left := until - time.monotonic()) > 0:
            self._turn()
            time.sleep(min(left, TURN_SECONDS))

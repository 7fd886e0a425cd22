"""Whether what a worker has in hand is still its own.

A worker that was paused (SIGSTOP, a frozen machine) goes on where it stopped, with its broker connection long closed
and its messages with others; it finds out only when its loop has read the socket. Until then it must publish nothing
in the place of a message in hand: whoever has that message now does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LONGEST_SILENCE_SECONDS: Final = 3.0
"""How long the loop may not have turned without a doubt; it turns at least twice a second."""
FIND_OUT_SECONDS: Final = 1.0
"""How long it has to turn after a pause until it has read what was waiting on the socket."""


class Possession:
    """Knows the pauses of the worker's loop.

    Args:
        clock: seconds, monotonic; it goes on while the process is stopped.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat_at = clock()
        self._certain_at = self._beat_at

    def beat(self) -> bool:
        """The loop turns; whether that makes it certain again that what is in hand is ours."""
        now = self._clock()
        if now - self._beat_at > LONGEST_SILENCE_SECONDS:
            self._certain_at = now + FIND_OUT_SECONDS
        self._beat_at = now
        return now >= self._certain_at

    @property
    def is_certain(self) -> bool:
        """Whether a lost connection would have been noticed."""
        now = self._clock()
        return now - self._beat_at <= LONGEST_SILENCE_SECONDS and now >= self._certain_at

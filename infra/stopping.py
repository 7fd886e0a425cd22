"""Stopping a long-lived process when somebody asks for it."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Final, Self

ASKING: Final = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Turns the first SIGTERM or SIGINT into an answer to :meth:`wait`; a second one ends the process at once.

    A pipe and no :class:`threading.Event`: an event's lock may be held by the very thread that the signal interrupts.
    Use it in the main thread, as a context manager that puts the former handlers back.
    """

    def __init__(self) -> None:
        self._heard, self._tell = os.pipe()
        self._asked = False
        self._before = [signal.signal(number, self._handle) for number in ASKING]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in zip(ASKING, self._before, strict=True):
            signal.signal(number, handler)
        os.close(self._heard)
        os.close(self._tell)

    def __bool__(self) -> bool:
        """Whether somebody has asked."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Pause for ``seconds`` at most; whether somebody has asked, which ends the pause at once."""
        if not self._asked:
            select.select((self._heard,), (), (), max(0.0, seconds))
        return self._asked

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._asked = True
        os.write(self._tell, b".")
        signal.signal(number, signal.SIG_DFL)

"""Signals as something to wait for, instead of something that interrupts."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Final, Self

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READ_BYTES: Final = 512


class Signals:
    """Collects SIGINT, SIGTERM, SIGHUP and SIGCHLD while it is entered; they do nothing else.

    A signal that was ignored before (``nohup``, a shell's background job) stays ignored.
    """

    def __enter__(self) -> Self:
        self._received, self._wakeup = os.pipe()
        for end in (self._received, self._wakeup):
            os.set_blocking(end, False)
        self._former_wakeup = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        heard = [number for number in (*ENDING, signal.SIGCHLD) if signal.getsignal(number) is not signal.SIG_IGN]
        self._former = {number: signal.signal(number, _nothing) for number in heard}
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_wakeup)
        os.close(self._received)
        os.close(self._wakeup)

    def wait(self, seconds: float | None = None, *, also: int | None = None) -> list[signal.Signals]:
        """The signals received since the last call, in order.

        Waits for the first one, for ``seconds`` at most, or until the descriptor ``also`` can be read.
        """
        watched = [self._received] if also is None else [self._received, also]
        readable, _, _ = select.select(watched, [], [], seconds)
        if self._received not in readable:
            return []
        return [signal.Signals(number) for number in os.read(self._received, _READ_BYTES)]


def ending(received: list[signal.Signals]) -> list[signal.Signals]:
    """Those among them that ask for the end."""
    return [number for number in received if number in ENDING]


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor tells."""

"""The terminal's foreground: given to the command that runs and taken back after it (POSIX chapter 11, job control)."""

from __future__ import annotations

import os
import signal
import sys
from typing import Self


class Terminal:
    """Standard input's terminal, if we are in its foreground; otherwise nothing happens.

    In the foreground the command reads the keyboard and gets Ctrl-C and Ctrl-Z itself, once, as under any shell.
    """

    def __init__(self) -> None:
        self._ours = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._hand_to(os.getpgrp())

    def give(self, group: int) -> None:
        """Make the process group the foreground one."""
        self._hand_to(group)

    def pause_with(self, group: int) -> None:
        """The command's group was stopped by Ctrl-Z: stop ourselves as well, and go on together."""
        self._hand_to(os.getpgrp())
        if self._ours:
            os.kill(0, signal.SIGSTOP)
        self._hand_to(group)
        os.killpg(group, signal.SIGCONT)

    def _hand_to(self, group: int) -> None:
        if not self._ours:
            return
        # A process outside the foreground that moves it is stopped by SIGTTOU, unless it blocks that.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(0, group)
        except OSError as error:  # the terminal has gone away
            sys.stderr.write(f"ledgerq: {error}\n")
            self._ours = False
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})

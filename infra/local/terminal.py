"""The terminal's foreground: given to the command that runs and taken back after it (POSIX chapter 11, job control)."""

from __future__ import annotations

import os
import signal
import sys
from typing import Self


class Terminal:
    """Standard input's terminal, if it is one and we are in its foreground; otherwise nothing happens.

    In the foreground the command reads the keyboard and gets Ctrl-C and Ctrl-Z itself, once, as under any shell.
    """

    def __init__(self) -> None:
        self._exists = os.isatty(0)
        self._ours = self._is_in_foreground(os.getpgrp())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._hand_to(os.getpgrp())

    def give(self, group: int) -> None:
        """Make the process group the foreground one."""
        self._hand_to(group)

    def pause_with(self, group: int, *, stopped_by: int) -> None:
        """The command's group was stopped: stop ourselves as well, and go on together.

        Where it was stopped for reading the terminal before it was given to it, it only has to go on.
        """
        if not self._exists:
            return  # somebody stopped it with kill(1), and will let it go on
        too_early = stopped_by in (signal.SIGTTIN, signal.SIGTTOU)
        if not (too_early and (self._is_in_foreground(group) or self._is_in_foreground(os.getpgrp()))):
            self._hand_to(os.getpgrp())
            os.kill(0, signal.SIGSTOP)
        self._ours = self._ours or self._is_in_foreground(os.getpgrp())
        self._hand_to(group)
        os.killpg(group, signal.SIGCONT)

    def _is_in_foreground(self, group: int) -> bool:
        return self._exists and os.tcgetpgrp(0) == group

    def _hand_to(self, group: int) -> None:
        if not self._ours:
            return
        # A process outside the foreground that moves it is stopped by SIGTTOU, unless it blocks that.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(0, group)
        except OSError as error:  # the terminal has gone away
            sys.stderr.write(f"ledgerq: {error}\n")
            self._exists = self._ours = False
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})

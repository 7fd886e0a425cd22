"""What a task prints becomes log lines: they say who printed it, and they are JSON where all other lines are."""

from __future__ import annotations

import io
import logging
import sys
import threading
from typing import Final, TextIO

LONGEST_LINE: Final = 8192
"""Characters after which a line is written though it has not ended."""


class PrintedLines(io.TextIOBase):
    """Stands in the place of standard output or standard error: each line that is written to it is logged.

    What goes past Python (a program that a task starts, ``os.write``) is not seen.

    Args:
        original: whose place it takes; asked for all that is not writing of text.
        logger: where the lines go.
        level: with which.
    """

    def __init__(self, original: TextIO, logger: logging.Logger, level: int) -> None:
        super().__init__()
        self._original = original
        self._logger = logger
        self._level = level
        self._begun = threading.local()

    def write(self, text: str) -> int:
        """Log the lines that end with it; the rest waits for its end."""
        *lines, rest = (getattr(self._begun, "text", "") + text).split("\n")
        if len(rest) > LONGEST_LINE:
            lines, rest = [*lines, rest], ""
        self._begun.text = ""  # first: what logging prints about itself must not come again
        for line in lines:
            self._log(line)
        self._begun.text = rest
        return len(text)

    def flush(self) -> None:
        """Nothing: half a line is no line, and a whole one has been written."""

    def end_line(self) -> None:
        """Log what waits for the end of its line."""
        rest, self._begun.text = getattr(self._begun, "text", ""), ""
        self._log(rest)

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Never, whatever the original is: colors would end in the lines."""
        return False

    def fileno(self) -> int:
        """The original's."""
        return self._original.fileno()

    @property
    def buffer(self) -> object:
        """The original's, for bytes."""
        return getattr(self._original, "buffer", None)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The original's."""
        return self._original.encoding

    def _log(self, line: str) -> None:
        if line.strip():
            self._logger.log(self._level, "%s", line.rstrip())


def log_what_is_printed() -> None:
    """From now on whatever this process prints is logged: standard output as info, standard error as warnings.

    The handler that `infra.logs.configure` made keeps the real stream.
    """
    if not isinstance(sys.stdout, PrintedLines):
        sys.stdout = PrintedLines(sys.stdout, logging.getLogger("ledgerq.stdout"), logging.INFO)
        sys.stderr = PrintedLines(sys.stderr, logging.getLogger("ledgerq.stderr"), logging.WARNING)


def end_printed_lines() -> None:
    """Log what was printed without an end of its line: whoever printed it is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, PrintedLines):
            stream.end_line()

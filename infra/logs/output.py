"""Where lines go: a handler that outlives a stream which takes nothing any more."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TextIO


class Output(logging.StreamHandler[TextIO]):
    """Writes lines; a full disk or a reader that has gone is told once, and the work goes on."""

    _is_troubled = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say so once, where the standard library would write a traceback for each line."""
        error = sys.exc_info()[1]
        if self._is_troubled or not isinstance(error, OSError):
            if not isinstance(error, OSError):
                super().handleError(record)  # a line that cannot be put together: a bug
            return
        self._is_troubled = True
        with suppress(OSError, ValueError):
            sys.stderr.write(f"ledgerq: log lines cannot be written, and the work goes on: {error}\n")

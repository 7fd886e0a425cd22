"""What ingest has done, told at most once a second."""

from __future__ import annotations

from time import monotonic
from typing import Final

import structlog

EVERY_SECONDS: Final = 1.0
_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.ingest")


class Tally:
    """Counts by name; a line is written when something was added and the last one is a second old."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self._since: dict[str, int] = {}
        self._told_at = 0.0

    def add(self, **counts: int) -> None:
        """Add to the counts, and tell them if it is time."""
        for name, count in counts.items():
            self.totals[name] = self.totals.get(name, 0) + count
            self._since[name] = self._since.get(name, 0) + count
        if monotonic() - self._told_at >= EVERY_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Write what was added since the last line, if anything was."""
        if any(self._since.values()):
            _log.info("stored", **{name: count for name, count in self._since.items() if count})
        self._since.clear()
        self._told_at = monotonic()

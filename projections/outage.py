"""Outages: what may pass by itself, and how long to wait before trying again."""

from __future__ import annotations

from typing import Final

import psycopg
import sqlalchemy as sa

from infra.database import DatabaseUnreachableError

DATABASE_TROUBLE: Final = (sa.exc.DBAPIError, sa.exc.TimeoutError, psycopg.Error, DatabaseUnreachableError)
"""The database is away, busy, or not migrated yet. Nothing was done; trying again is right."""

SHORTEST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0


class Backoff:
    """Pauses that double from one trouble to the next, and start over after a time without any."""

    def __init__(self) -> None:
        self._pause = SHORTEST_PAUSE_SECONDS

    def seconds(self, *, after: float) -> float:
        """How long to pause now, when things went well for ``after`` seconds before the trouble."""
        if after > LONGEST_PAUSE_SECONDS:
            self._pause = SHORTEST_PAUSE_SECONDS
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause

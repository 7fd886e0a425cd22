"""Points in time that others may tell us: those that every clock, column and calculation of ours can hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9990, 1, 1, tzinfo=UTC)
"""The first moment that is too late: a term's notices, a session's patience and any offset still end before the year
10000, which Python has no name for (library reference, ``datetime.MAXYEAR``) although PostgreSQL does."""
BOUNDS: Final = f"from {EARLIEST:%Y-%m-%d} to before {LATEST:%Y-%m-%d} in UTC"


def is_within_bounds(moment: datetime) -> bool:
    """Whether ``moment`` can be held; one without an offset is taken for UTC."""
    return EARLIEST <= (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) < LATEST

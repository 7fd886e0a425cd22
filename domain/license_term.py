"""Terms: from when to when a license runs, and which notices come due before its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

EXPIRY_NOTICE_DAYS: Final = (30, 7, 1)
"""How many days before the end of a term its holder is told, furthest first."""


def notices_of_term(*, began_at: datetime, valid_until: datetime) -> tuple[tuple[int, datetime], ...]:
    """The notices of a term: how many days before its end, and when that is; in order of time.

    One whose day was already past when the term began is none of them: the holder has just been told the date.
    """
    due = ((days, valid_until - timedelta(days=days)) for days in EXPIRY_NOTICE_DAYS)
    return tuple((days, due_at) for days, due_at in due if due_at > began_at)

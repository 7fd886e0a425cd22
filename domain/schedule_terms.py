"""Terms of a schedule: what it asks for, when, and what becomes of slots that nobody saw in time."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec

from domain.tier import Tier
from domain.timetable import Timetable, TimetableInvalid, next_slot

PUNCTUAL: Final = timedelta(seconds=30)
"""A slot fired within this was not missed: so long may another scheduler take to take over."""


class CatchUp(StrEnum):
    """What becomes of slots that passed while no scheduler ran."""

    NONE = "none"
    """They are missed."""
    LAST = "last"
    """The latest of them is fired, however late; the others are missed."""
    ALL = "all"
    """Each is fired that is not older than ``catch_up_seconds``."""


class Overlap(StrEnum):
    """What becomes of a slot that comes while the run of an earlier one has not ended."""

    ALLOW = "allow"
    """It is fired; both run at once."""
    SKIP = "skip"
    """It is skipped, and that is recorded."""
    QUEUE = "queue"
    """It waits for the end."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule asks for, and by which rules.

    Attributes:
        task: the Celery task's name.
        timetable: when its slots come.
        kwargs: what the task is called with.
        tier: whose queue its runs go to.
        catch_up: what becomes of slots that passed while no scheduler ran.
        catch_up_seconds: how late a slot may be fired where all are caught up with.
        overlap: what becomes of a slot that comes while an earlier one's run has not ended.
    """

    task: str
    timetable: Timetable
    kwargs: dict[str, Any] = {}
    tier: str = Tier.NORMAL.value
    catch_up: CatchUp = CatchUp.LAST
    catch_up_seconds: float = 86_400.0
    overlap: Overlap = Overlap.ALLOW

    def oldest(self, now: datetime) -> datetime | None:
        """Slots before it are missed at ``now``; None: none is for its age."""
        if self.catch_up is CatchUp.LAST:
            return None
        return now - (PUNCTUAL if self.catch_up is CatchUp.NONE else timedelta(seconds=self.catch_up_seconds))

    def check(self, *, at: datetime) -> None:
        """See that a schedule can live by these from ``at`` on.

        Raises:
            ValueError: it cannot; the message says what is allowed.
        """
        Tier(self.tier)
        self.timetable.check()
        if next_slot(self.timetable, at) is None:
            raise TimetableInvalid(f"{self.timetable} is over at {at.isoformat()}; allowed is what is still to come")
        if not 0 < self.catch_up_seconds <= timedelta(days=366).total_seconds():
            raise TimetableInvalid("slots are caught up with for more than 0 s and at most 366 days")

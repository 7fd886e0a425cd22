"""Lanes: the runs of one tier on their way to its queue, in the order of their acceptance."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from domain.task_run import TaskRequested
from domain.tier import Tier
from infra.event_store import Log, Page, Recorded, Unreadable
from infra.event_store.backlog import publishing_follower
from tasks.dispatch.backoff import Backoff
from tasks.dispatch.place import Place

FIRST_PAUSE: Final = timedelta(milliseconds=250)
LONGEST_PAUSE: Final = timedelta(seconds=10)
LOST_AND_FOUND: Final = Tier.NORMAL
"""The lane that deals with runs whose tier nobody knows or that nobody can read."""


class Lane:
    """A tier's own place in the tasks log, so that a queue that takes nothing holds up no other tier.

    Attributes:
        doubtful_to: runs accepted up to this position may have been published without our having recorded it: by the
            dispatcher before us, or by a try of ours whose answer was lost.
        tried_to: up to this position a try of ours failed, and what was published of it is not known.
        confirmed: events whose publication the broker confirmed and the store has not taken in yet.
    """

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self.place = Place(publishing_follower(tier), Log.TASKS)
        self.backoff = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self.doubtful_to = 0
        self.tried_to = 0
        self.confirmed: set[UUID] = set()

    def runs_in(self, page: Page) -> list[Recorded]:
        """The runs of ``page`` that this lane has to deal with."""
        after = self.place.position
        return [run for run in page.events if run.position > after and lane_of(run) is self.tier]

    def unreadable_in(self, page: Page) -> list[Unreadable]:
        """The runs of ``page`` that nobody can read and this lane has to deal with."""
        after = self.place.position
        return [run for run in page.unreadable if run.position > after and self.tier is LOST_AND_FOUND]


def lane_of(recorded: Recorded) -> Tier:
    """The tier whose lane deals with the run."""
    event = recorded.event
    if isinstance(event, TaskRequested) and event.tier in set(Tier):
        return Tier(event.tier)
    return LOST_AND_FOUND

"""Which open runs are nowhere. Pure: from what the log and three looks at the broker say.

A run that has neither moved nor ended has its message in one of three places: ready in its tier's queue, unacknowledged
at a worker, or in the delay ladder (a worker acknowledges only after the outcome and the next message are confirmed).
A run is named where each of the three is shown not to hold it:

* not in the ladder: it never was to wait there, or the ladder was empty at every look;
* not ready: the queue was empty at the second look and at the third, or gave out, between the first look and the
  second, a message of no higher priority that entered it after the first;
* not in hand: no worker reconnected meanwhile, and each has begun all that it has in hand, or has begun a message of no
  higher priority that it received after the second look.

Where that cannot be shown, the run is taken to be where it should be, and only counted: more of them than there are
messages means that some are missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, NamedTuple

from domain.tier import Tier
from infra.broker.topology import DEAD_RECORD
from tasks.reconcile.look import Hand, Look, Process, process_of
from tasks.reconcile.open_run import OpenRun, Place

LADDER_SLACK: Final = timedelta(seconds=30)
"""How late the ladder may deliver before a run that was due counts as no longer in it."""

CLOCKS_DIFFER: Final = timedelta(seconds=1)
"""How far a worker's clock may be ahead of the database's."""


class Standing(Enum):
    """What can be said of an open run."""

    MOVING = auto()
    """Something was told of it since the first look, or is about to be."""
    AT_DISPATCH = auto()
    """Dispatch has not come to it yet."""
    WAITING = auto()
    """It waits for an event or a time, and has no message."""
    AT_WORKER = auto()
    """A live worker executes it."""
    EXPECTED = auto()
    """Nothing speaks against its being where it should be."""
    SEEN = auto()
    """Its message was seen there."""
    NOWHERE = auto()
    """It is in none of the places where it could be."""


class Begun(NamedTuple):
    """A run that a worker began after the first look.

    Attributes:
        tier: whose queue it came from.
        priority: of its message.
        entered_after: its message cannot have entered the queue before this moment.
        received_at: when the worker got it, by the worker's clock.
        process: the worker's.
    """

    tier: Tier
    priority: int
    entered_after: datetime
    received_at: datetime
    process: Process | None


class Evidence(NamedTuple):
    """All that is known.

    Attributes:
        looks: the three, in order.
        dispatched: how far dispatch has come in the log, by tier.
        begun: what was begun since the first look.
        executing: how many runs each worker began before the second look and has not finished.
        contents: runs whose messages were read in queues and ladder, at the second look and the third; None: not read.
    """

    looks: tuple[Look, Look, Look]
    dispatched: Mapping[Tier, int]
    begun: Sequence[Begun]
    executing: Mapping[Process, int]
    contents: frozenset[str] | None = None

    @property
    def began_at(self) -> datetime:
        """The first look."""
        return self.looks[0].at


class Shortfall(NamedTuple):
    """A place that holds fewer messages than there are runs that should be in it."""

    place: str
    expected: int
    held: int


def judge(runs: Iterable[OpenRun], evidence: Evidence) -> dict[Standing, list[OpenRun]]:
    """Each run under what can be said of it.

    A worker may put a message back that it has not begun, which nobody records. One that was put back and taken again
    while we looked can seem to be nowhere, so a run is named only after it was found so in two turns of three looks.
    """
    found: dict[Standing, list[OpenRun]] = {standing: [] for standing in Standing}
    for run in runs:
        found[_standing(run, evidence)].append(run)
    return found


def shortfalls(expected: Iterable[OpenRun], evidence: Evidence) -> list[Shortfall]:
    """Places that hold too few; a message may be on its way from one to the next, so the most of any look counts."""
    by_place = Counter("delay ladder" if _waits(run, evidence) else run.tier.queue for run in expected)
    held = {tier.queue: _most_held(tier, evidence.looks) for tier in Tier}
    held["delay ladder"] = max(look.in_ladder for look in evidence.looks)
    return [Shortfall(place, count, held[place]) for place, count in by_place.items() if count > held[place]]


def _most_held(tier: Tier, looks: Sequence[Look]) -> int:
    in_hand = (sum(hand.unacknowledged for hand in look.hands[tier]) for look in looks)
    return max(look.ready[tier.queue] for look in looks) + max(*in_hand, *(look.unacknowledged[tier] for look in looks))


def _standing(run: OpenRun, evidence: Evidence) -> Standing:  # noqa: PLR0911  one line for each thing that can be said
    if run.since >= evidence.began_at:
        return Standing.MOVING
    if run.is_before_dispatch(evidence.dispatched[run.tier]):
        return Standing.AT_DISPATCH
    if run.place is Place.LOG:
        return Standing.WAITING
    if run.place is Place.WORKER and process_of(run.worker) in evidence.looks[-1].processes:
        return Standing.AT_WORKER
    if _becomes_due(run, evidence):
        return Standing.MOVING
    if evidence.contents is not None and run.run_id in evidence.contents:
        return Standing.SEEN
    # A worker that lost its connection tells of the next attempt and leaves it to whoever gets this message again:
    # a run that is to wait in the ladder may be in the queue.
    if (run.is_held or _waits(run, evidence)) and not _is_not_in_ladder(evidence):
        return Standing.EXPECTED
    if evidence.looks[-1].ready[DEAD_RECORD]:  # the broker may have ended it, and nobody has recorded that yet
        return Standing.EXPECTED
    if _is_not_ready(run, evidence) and _is_not_in_hand(run, evidence):
        return Standing.NOWHERE
    return Standing.EXPECTED


def _waits(run: OpenRun, evidence: Evidence) -> bool:
    """Whether its time has not come, even by the last look."""
    return run.due is not None and run.due > evidence.looks[-1].at


def _becomes_due(run: OpenRun, evidence: Evidence) -> bool:
    """Whether it may be on its way from the ladder to the queue while we look."""
    return run.due is not None and not _waits(run, evidence) and run.due + LADDER_SLACK > evidence.began_at


def _is_not_in_ladder(evidence: Evidence) -> bool:
    """Whether the ladder was empty whenever we looked, or was read and did not hold the run that is asked about."""
    return evidence.contents is not None or not any(look.in_ladder for look in evidence.looks)


def _is_not_ready(run: OpenRun, evidence: Evidence) -> bool:
    first, second, third = evidence.looks
    if evidence.contents is not None or not (second.ready[run.tier.queue] or third.ready[run.tier.queue]):
        return True
    # Entered after the first look, and not only after the run did: a worker may have put the run back at the tail.
    return any(
        begun.priority <= run.priority
        and begun.entered_after > first.at
        and first.at + CLOCKS_DIFFER < begun.received_at < second.at
        for begun in evidence.begun
        if begun.tier is run.tier
    )


def _is_not_in_hand(run: OpenRun, evidence: Evidence) -> bool:
    first, _, third = evidence.looks
    if {hand.identity for hand in first.hands[run.tier]} != {hand.identity for hand in third.hands[run.tier]}:
        return False
    if not third.hands[run.tier]:
        return third.unacknowledged[run.tier] == 0
    return all(_has_begun_all(hand, run, evidence) for hand in third.hands[run.tier])


def _has_begun_all(hand: Hand, run: OpenRun, evidence: Evidence) -> bool:
    """Whether a consumer holds nothing that was given to it before the second look and that it has not begun."""
    if hand.unacknowledged == 0:
        return True
    if hand.process is None:
        return False
    if hand.unacknowledged <= evidence.executing.get(hand.process, 0):
        return True
    second = evidence.looks[1]
    return any(
        begun.process == hand.process
        and begun.priority <= run.priority
        and begun.received_at > second.at + CLOCKS_DIFFER
        for begun in evidence.begun
    )

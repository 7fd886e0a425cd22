"""The follower that lets runs go on whose wait has ended: their next attempt is published, told what came.

At least once, as every message: the attempt is the same one, and what it comes to has one slot. A message that is lost
after that is published again by `ledgerq reconcile`; its attempt waits anew and finds what came.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import structlog

from domain.task_run import SLOT_END, AttemptEvent
from domain.tier import Tier
from domain.wait import TaskWaitBegan, TaskWaitSatisfied, TaskWaitTimedOut, WaitEnd
from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError
from infra.broker.frames import OutgoingMessage
from infra.broker.publisher import Publisher
from infra.event_store import Checkpoint, EventStore, EventUnreadableError, Log, NewEvent, Page, Recorded
from tasks.dispatch.backoff import Backoff
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.lane import FIRST_PAUSE, LONGEST_PAUSE
from tasks.dispatch.place import Place
from tasks.dispatch.publishing import FAILURES_BORNE, PUBLISH_TIMEOUT
from tasks.dispatch.resumption import rejected, resumption, tier_of
from tasks.dispatch.subject import run_id_of

FOLLOWER: Final = "dispatch.resuming"
"""Each tier has a place under this name and its own; dispatchers before these had one for all."""
NAMES: Final = (TaskWaitSatisfied.TOPIC, TaskWaitTimedOut.TOPIC)

log = structlog.get_logger(__name__)


class ResumingLane:
    """A tier's own place among the ends of waits, so that a queue that takes nothing holds up no other tier.

    Attributes:
        confirmed: ids of messages that the broker has and that the place has not moved past yet.
    """

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self.place = Place(f"{FOLLOWER}.{tier}", Log.TASKS)
        self.backoff = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self.confirmed: set[str | None] = set()

    def ends_in(self, page: Page) -> list[tuple[Recorded, WaitEnd]]:
        """The ends of waits in ``page`` whose runs go on in this tier."""
        ends = [(each, each.event) for each in page.events if each.position > self.place.position]
        return [(each, end) for each, end in ends if isinstance(end, WaitEnd) and tier_of(end) is self.tier]


class _Parcel(NamedTuple):
    """What one lane makes of one page."""

    lane: ResumingLane
    ends: int
    messages: list[OutgoingMessage]
    rejected: list[NewEvent]

    @property
    def waiting(self) -> list[tuple[ResumingLane, OutgoingMessage]]:
        """What the broker has not confirmed."""
        return [(self.lane, each) for each in self.messages if each.message_id not in self.lane.confirmed]


class ResumingFollower(LogFollower):
    """Publishes the attempt after each wait at least once.

    Args:
        store: the log.
        publisher: confirmed.
        page_runs: most runs of one look.
    """

    def __init__(
        self,
        store: EventStore,
        publisher: Publisher,
        *,
        page_runs: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lanes = tuple(ResumingLane(tier) for tier in Tier)
        super().__init__(store, *(lane.place for lane in self._lanes))
        self._publisher = publisher
        self._page_runs = page_runs
        self._monotonic = monotonic

    def take_over(self) -> None:
        """Begin where the last one stopped, in each tier."""
        super().take_over()
        with self._store.transaction() as transaction:
            of_all = Checkpoint.read(transaction.connection, FOLLOWER, Log.TASKS)
        for lane in self._lanes:
            lane.place.position = max(lane.place.position, of_all)

    def step(self) -> bool:
        """Publish what has come to be published, in each lane that is not pausing; whether there was anything.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        now = self._monotonic()
        waiting = sorted(
            (lane for lane in self._lanes if lane.backoff.is_over(now)), key=lambda lane: lane.place.position
        )
        busy = False
        while waiting:
            # Lanes usually stand at the same place and share a page; one that fell behind gets pages of its own.
            page = self._store.read(Log.TASKS, after=waiting[0].place.position, limit=self._page_runs, names=NAMES)
            served = [lane for lane in waiting if lane.place.position <= page.position]
            waiting = waiting[len(served) :]
            busy |= self._serve(page, served, now)
        return busy

    def _serve(self, page: Page, lanes: Sequence[ResumingLane], now: float) -> bool:
        parcels = [self._pack(page, lane) for lane in lanes]
        self._hand_over([each for parcel in parcels for each in parcel.waiting])
        for parcel in parcels:
            self._finish(parcel, to=page.position, now=now)
        return bool(page.events)

    def _pack(self, page: Page, lane: ResumingLane) -> _Parcel:
        ends = lane.ends_in(page)
        parcel = _Parcel(lane, len(ends), [], [])
        for ended, end in ends:
            if (began := self._waited(end)) is None:
                continue
            try:
                parcel.messages.append(resumption(began, end))
            except ValueError as error:
                log.warning("a run that waited cannot go on", run_id=run_id_of(end.originator_id), reason=str(error))
                parcel.rejected.append(rejected(ended, end, began, reason=str(error)))
        return parcel

    def _finish(self, parcel: _Parcel, *, to: int, now: float) -> None:
        """Move the lane past the page, unless something of it is not published."""
        lane = parcel.lane
        if parcel.waiting:
            pause = lane.backoff.fail(now)
            said = {"tier": lane.tier.value, "runs": len(parcel.waiting), "retry_in_seconds": pause}
            log.warning("runs that waited not published; they are tried again", **said)
            return
        lane.backoff.succeed()
        if not parcel.ends and not lane.place.is_far_behind(to):
            lane.place.position = to
            return
        with self.moving(to, place=lane.place) as transaction:
            transaction.append_each(Log.TASKS, parcel.rejected)
        lane.confirmed.clear()

    def _waited(self, end: WaitEnd) -> TaskWaitBegan | None:
        """The wait that has ended; None where its run has gone on, or has ended."""
        stream = end.originator_id
        try:
            story = [each.event for each in self._store.load_recorded(Log.TASKS, [stream]).get(stream, [])]
        except EventUnreadableError as error:
            log.warning("a run that waited cannot be read", run_id=run_id_of(stream), reason=str(error))
            return None
        attempts = [each for each in story if isinstance(each, AttemptEvent)]
        if any(each.originator_version == SLOT_END or each.attempt > end.attempt for each in attempts):
            return None
        return next((e for e in attempts if isinstance(e, TaskWaitBegan) and e.attempt == end.attempt), None)

    def _hand_over(self, waiting: list[tuple[ResumingLane, OutgoingMessage]]) -> None:
        try:
            self._publish(waiting)
        except (ValueError, BrokerRefusedError) as error:
            log.warning("a batch was refused as a whole; publishing its runs one by one", reason=str(error))
            self._publish_singly(waiting)

    def _publish(self, waiting: list[tuple[ResumingLane, OutgoingMessage]]) -> None:
        """Publish all in one go, and note what the broker confirms; raises what concerns single messages."""
        if not waiting:
            return
        try:
            answers = self._publisher.publish([message for _, message in waiting], timeout=PUBLISH_TIMEOUT)
        except BrokerUnreachableError as error:
            log.warning("the broker cannot be reached", reason=str(error))
            return
        for (lane, message), answer in zip(waiting, answers, strict=True):
            if answer.confirmed:
                lane.confirmed.add(message.message_id)
            else:
                log.debug("a run that waited was refused", run_id=message.correlation_id, reason=answer.text)

    def _publish_singly(self, waiting: list[tuple[ResumingLane, OutgoingMessage]]) -> None:
        """Find the messages that spoil the batch; they wait for people."""
        failures: Counter[Tier] = Counter()
        for lane, message in waiting:
            if failures[lane.tier] == FAILURES_BORNE:
                continue
            try:
                self._publish([(lane, message)])
            except (ValueError, BrokerRefusedError) as error:
                log.warning("a run that waited was refused", run_id=message.correlation_id, reason=str(error))
            failures[lane.tier] += message.message_id not in lane.confirmed

"""The follower that publishes: accepted runs out of the tasks log, into the tiers' queues."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from domain.task_run import TaskRequested
from domain.tier import Tier
from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError
from infra.broker.publisher import Publisher
from infra.event_store import EventStore, Log, Page
from infra.event_store.stories import RevokedStories
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.lane import Lane
from tasks.dispatch.meter import DispatchMeter
from tasks.dispatch.parcel import OutgoingRun, Parcel, pack
from tasks.dispatch.pressure import Pressure
from tasks.dispatch.spans import tell_dispatched

PUBLISH_TIMEOUT: Final = timedelta(seconds=10)
FAILURES_BORNE: Final = 8
"""Runs of one page that fail singly, after which the mistake is taken not to be theirs; each may cost a connection."""
NAMES: Final = (TaskRequested.TOPIC,)

log = structlog.get_logger(__name__)


class PublishingFollower(LogFollower):
    """Publishes each accepted run at least once and records that the broker confirmed it.

    A lane's checkpoint moves, in one transaction with the ``task.published`` of its runs, only past a page whose every
    run of that lane is dealt with. What the broker returns, refuses or does not confirm in time stays before the
    checkpoint and is read from the store again, so nothing can be skipped: neither by a crash nor by a bug in here.
    """

    def __init__(
        self,
        store: EventStore,
        publisher: Publisher,
        *,
        clock: Callable[[], datetime],
        page_runs: int,
        pressure: Pressure,
        meter: DispatchMeter | None = None,
    ) -> None:
        self.lanes = tuple(Lane(tier) for tier in Tier)
        super().__init__(store, *(lane.place for lane in self.lanes))
        self._pressure = pressure
        self._publisher = publisher
        self._clock = clock
        self._page_runs = page_runs
        self._meter = meter
        self._revoked_stories = RevokedStories()

    @property
    def is_failing(self) -> bool:
        """Whether the latest try of a lane failed: the broker is away, or refuses."""
        return any(lane.backoff.is_failing for lane in self.lanes)

    def take_over(self) -> None:
        """Begin where the last one stopped."""
        safe = self._store.safe_position(Log.TASKS)
        super().take_over()
        for lane in self.lanes:
            lane.doubtful_to = safe
            self._pressure.take_over(lane)

    def step(self) -> bool:
        """Publish a page of each lane that is neither pausing nor held; whether there was anything to look at.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        now = time.monotonic()
        ready = (lane for lane in self.lanes if lane.backoff.is_over(now) and self._pressure.lets_go(lane))
        waiting = sorted(ready, key=lambda lane: lane.place.position)
        busy = False
        while waiting:
            # Lanes usually stand at the same place and share a page; one that fell behind gets pages of its own.
            page = self._store.read(Log.TASKS, after=waiting[0].place.position, limit=self._page_runs, names=NAMES)
            served = [lane for lane in waiting if lane.place.position <= page.position]
            waiting = waiting[len(served) :]
            busy |= self._serve(page, served)
        return busy

    def _serve(self, page: Page, lanes: list[Lane]) -> bool:
        if page.events:
            self._store.look_for_revoked_stories(self._revoked_stories)
        packed = [
            pack(page, lane, store=self._store, clock=self._clock, revoked_stories=self._revoked_stories)
            for lane in lanes
        ]
        parcels = [parcel for parcel in packed if not (parcel.waiting and self._pressure.holds(parcel.lane))]
        filled = [parcel for parcel in parcels if parcel]
        self._hand_over(filled)
        self._record(filled, to=page.position)
        for parcel in parcels:
            if not parcel:
                parcel.lane.place.position = page.position
        # Runs of lanes that are held or pausing are passed over at once: there may be many of them before the next.
        return bool(filled or page.events)

    def _hand_over(self, parcels: list[Parcel]) -> None:
        waiting = [(parcel, run) for parcel in parcels for run in parcel.waiting]
        try:
            self._publish(waiting)
        except (ValueError, BrokerRefusedError) as error:
            log.warning("a batch was refused as a whole; publishing its runs one by one", reason=str(error))
            self._publish_singly(waiting)

    def _publish(self, waiting: list[tuple[Parcel, OutgoingRun]]) -> None:
        """Publish all in one go; raises what concerns single runs, notes what concerns the broker."""
        if not waiting:
            return
        began = self._clock()
        try:
            answers = self._publisher.publish([run.message for _, run in waiting], timeout=PUBLISH_TIMEOUT)
        except BrokerUnreachableError as error:
            for parcel, run in waiting:
                parcel.leave(run, reason=str(error))
            return
        now = self._clock()
        tell_dispatched([run for _, run in waiting], answers, began=began, ended=now)
        for (parcel, run), answer in zip(waiting, answers, strict=True):
            if answer.confirmed:
                parcel.confirm(run, at=now)
                if self._meter is not None:
                    self._meter.published(parcel.lane.tier, waited=now - run.requested.recorded_at)
            else:
                parcel.leave(run, reason=answer.text)

    def _publish_singly(self, waiting: list[tuple[Parcel, OutgoingRun]]) -> None:
        """Find the runs that spoil the batch. One that fits no frame ends; one that is refused waits for people."""
        failures = 0
        for parcel, run in waiting:
            if failures == FAILURES_BORNE:
                parcel.leave(run, reason="not tried: too many before it failed")
                continue
            left = len(parcel.left)
            try:
                self._publish([(parcel, run)])
            except ValueError as error:
                parcel.reject(run.requested, reason=str(error), at=self._clock())
            except BrokerRefusedError as error:
                parcel.leave(run, reason=str(error))
            failures += len(parcel.left) - left

    def _record(self, parcels: list[Parcel], *, to: int) -> None:
        finished = [parcel.lane for parcel in parcels if parcel.is_done]
        facts = [fact for parcel in parcels for fact in parcel.facts]
        if facts or finished:
            began = time.monotonic()
            with self._store.transaction() as transaction:
                transaction.append_each(Log.TASKS, facts)
                for lane in finished:
                    lane.place.store(transaction, to=to)
            if self._meter is not None:
                self._meter.recorded(parcels, seconds=time.monotonic() - began)
        for lane in finished:
            lane.place.stored(to)
        for parcel in parcels:
            self._pressure.note_published(parcel.lane, len(parcel.waiting))
            parcel.settle(now=time.monotonic(), page_end=to)

"""When a tier's queue is full: its lane waits, and the log says since when and how much waits with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID, uuid5

import msgspec
import structlog

from domain.backpressure import Backpressure, BackpressureEvent, Seen
from domain.cause import Cause
from infra.broker.errors import BrokerError
from infra.event_store import EventStore, Log, caused
from tasks.dispatch.backoff import Backoff
from tasks.dispatch.lane import Lane
from tasks.dispatch.outcomes import ACTOR

LOOK_SECONDS: Final = 1.0
"""How old what is known of a queue's depth may be."""
MOST_COUNTED_RUNS: Final = 100_000
NAMESPACE: Final = UUID("0192d7a5-bac4-7b0e-9e55-7072657373e5")
"""Namespace (RFC 9562, name-based UUIDs) of the causes of what is recorded here."""

log = structlog.get_logger(__name__)


class Depths(Protocol):
    """Who knows how many messages a queue holds."""

    def ready(self, queue: str) -> int | None:
        """Messages in no consumer's hand; None where there is no such queue."""


class Pressure:
    """Decides for each lane whether its queue has room.

    Between two looks at a queue what was published since is added to what was seen, and nothing is taken off; so a lane
    is held only after a look that was made for it. What the broker does not tell (it is away, the queue is missing)
    changes nothing: publishing meets the same trouble and deals with it.

    Args:
        store: where the facts go.
        depths: asked about a queue at most once a second, and before a lane is held.
        clock: the present, UTC.
        limit_messages: from how many waiting messages on a queue is full.
    """

    def __init__(
        self, store: EventStore, depths: Depths, *, clock: Callable[[], datetime], limit_messages: int
    ) -> None:
        self._store = store
        self._depths = depths
        self._clock = clock
        self._limit_messages = limit_messages
        self._episodes: dict[Lane, Backpressure] = {}
        self._estimates: dict[Lane, int] = {}
        self._looked_at: dict[Lane, float] = {}
        self._trouble = Backoff(first=timedelta(seconds=LOOK_SECONDS), longest=timedelta(seconds=10))

    def take_over(self, lane: Lane) -> None:
        """Find out whether the lane was being held where it stands; its place has been loaded."""
        episode = self._told(lane)
        self._looked_at.pop(lane, None)
        self._episodes.pop(lane, None)
        if episode.is_on:
            self._episodes[lane] = episode

    def lets_go(self, lane: Lane) -> bool:
        """Whether the lane is not being held, or may go on again from here."""
        episode = self._episodes.get(lane)
        if episode is None:
            return True
        if not self._is_due(lane):
            return False
        seen = self._look(lane)
        if seen is None or not seen.has_room_again:
            return False
        self._record(lane, episode.end(seen))
        del self._episodes[lane]
        return True

    def holds(self, lane: Lane) -> bool:
        """Whether what the lane has in hand has to wait; from then on the lane is held.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        if not self._is_due(lane) and self._estimates.get(lane, 0) < self._limit_messages:
            return False
        seen = self._look(lane)
        if seen is None or not seen.is_full:
            return False
        episode = self._told(lane)
        if not episode.is_on:  # else we recorded it, and the answer was lost
            began = episode.begin(seen)
            self._record(lane, began)
            episode = episode.after(began)
        self._episodes[lane] = episode
        return True

    def is_held(self, lane: Lane) -> bool:
        """Whether the lane waits, as far as this knows."""
        return lane in self._episodes

    def note_published(self, lane: Lane, messages: int) -> None:
        """So many more messages may lie in the lane's queue."""
        self._estimates[lane] = self._estimates.get(lane, 0) + messages

    def _is_due(self, lane: Lane) -> bool:
        return time.monotonic() - self._looked_at.get(lane, float("-inf")) > LOOK_SECONDS

    def _look(self, lane: Lane) -> Seen | None:
        now = time.monotonic()
        if not self._trouble.is_over(now):
            return None
        try:
            ready = self._depths.ready(lane.tier.queue)
        except BrokerError as error:
            pause = self._trouble.fail(time.monotonic())
            log.warning("the depth of a queue is not known", reason=str(error), retry_in_seconds=pause)
            return None
        self._trouble.succeed()
        self._looked_at[lane] = now
        if ready is None:
            return None
        self._estimates[lane] = ready
        return self._seen(lane, ready)

    def _seen(self, lane: Lane, ready: int) -> Seen:
        seen = Seen(ready_messages=ready, limit_messages=self._limit_messages, backlog_runs=0, at=self._clock())
        changes = seen.has_room_again if lane in self._episodes else seen.is_full
        if not changes:
            return seen
        return msgspec.structs.replace(seen, backlog_runs=self._store.backlog(lane.tier, most=MOST_COUNTED_RUNS))

    def _told(self, lane: Lane) -> Backpressure:
        episode = Backpressure(lane.tier, lane.place.position)
        for event in self._store.load(Log.LICENSING, [episode.stream]).get(episode.stream, []):
            episode = episode.after(event)
        return episode

    def _record(self, lane: Lane, event: BackpressureEvent) -> None:
        """Record the fact together with the lane's place, by which whoever takes over finds it."""
        place, position = lane.place, lane.place.position
        cause_id = uuid5(NAMESPACE, f"{event.originator_id}/{event.originator_version}")
        cause = Cause(id=cause_id, at=event.timestamp, actor=ACTOR)
        with self._store.transaction() as transaction:
            transaction.append_each(Log.LICENSING, caused([event], cause))
            if place.is_ahead:
                place.store(transaction, to=position)
        place.stored(position)
        said = {"tier": event.tier, "ready_messages": event.ready_messages, "backlog_runs": event.backlog_runs}
        log.warning(event.TOPIC, limit_messages=event.limit_messages, **said)

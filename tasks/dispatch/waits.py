"""The follower that ends waits: what happens is held against what runs wait for, and the clock against their times.

Two logs are followed, to a position each. A wait is read from the log of tasks; what had been recorded by then of what
it waits for is looked for up to the position to which that log has been followed, and all that comes after is held
against it as it is followed. So no event falls between, whichever was first. The end of a wait is an event that lies in
one slot of its run and derives from the beginning: what is decided twice, after a crash, counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import uuid5

import structlog

from domain.moment import is_within_bounds
from domain.run import END_NAMES
from domain.task_run import SLOT_END, TaskEvent, TaskRevocationRequested, TaskRevoked, run_stream, task_event
from domain.wait import AwaitedEvent, TaskWaitBegan, TaskWaitSatisfied, TaskWaitTimedOut, WaitEnd, matches
from infra.event_store import EventStore, EventUnreadableError, Log, NewEvent, Page, Recorded
from infra.event_store.revocations import Revocation
from infra.event_store.stories import RevokedStories
from infra.event_store.waits import log_of, open_waits, position_before
from tasks.dispatch.causes import cause_of
from tasks.dispatch.open_waits import OpenWait, OpenWaits, open_wait_in
from tasks.dispatch.outcomes import caused_by
from tasks.dispatch.place import Place
from tasks.dispatch.subject import run_id_of

FOLLOWER: Final = "dispatch.waits"
NAMES: Final = (TaskWaitBegan.TOPIC, TaskRevocationRequested.TOPIC, *sorted(END_NAMES))
ACTOR: Final = "dispatch"
LOADED_AT_ONCE: Final = 500
"""Streams of waiting runs per question when the follower takes over."""

log = structlog.get_logger(__name__)


class _Followed(NamedTuple):
    """What one look at a log was.

    Attributes:
        is_busy: whether there was anything.
        is_reached: whether all has been read that was there when the look began.
    """

    is_busy: bool
    is_reached: bool


class WaitsFollower:
    """Ends each wait once.

    Args:
        store: with the logs.
        clock: the present, UTC.
        page_events: most events of one look.
    """

    def __init__(self, store: EventStore, *, clock: Callable[[], datetime], page_events: int) -> None:
        self._store = store
        self._clock = clock
        self._page_events = page_events
        self._waits = OpenWaits()
        self._revoked_stories = RevokedStories()
        self._places = {each: Place(FOLLOWER, each) for each in (Log.TASKS, Log.LICENSING)}

    def take_over(self) -> None:
        """Begin where the last one stopped, with the runs that waited by then."""
        self._waits = OpenWaits()
        with self._store.transaction() as transaction:
            for place in self._places.values():
                place.load(transaction.connection)
            streams = open_waits(transaction.connection, upto=self._places[Log.TASKS].position)
        for first in range(0, len(streams), LOADED_AT_ONCE):
            for story in self._stories(streams[first : first + LOADED_AT_ONCE]):
                if (began := _open_wait(story)) is not None:
                    self._waits.add(self._wait(began))

    def step(self) -> bool:
        """Look at a page of each log, and at the clock; whether there was anything to do.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        now = self._clock()
        looks = [self._follow(Log.TASKS), self._follow(Log.LICENSING)]
        ends: list[NewEvent] = []
        if all(look.is_reached for look in looks):  # what has happened comes before what has not
            ends = [_at_its_time(wait, now) for wait in self._waits.due(now)]
            if ends:
                self._store.append_each(Log.TASKS, ends)
                self._forget(ends)
        return bool(ends) or any(look.is_busy for look in looks)

    def note_position(self) -> None:
        """Write down how far this has looked, if the store does not know."""
        for place in self._places.values():
            if place.is_ahead:
                position = place.position
                with self._store.transaction() as transaction:
                    place.store(transaction, to=position)
                place.stored(position)

    def _follow(self, followed: Log) -> _Followed:
        place, safe = self._places[followed], self._store.safe_position(followed)
        names = {name for name in self._waits.names if log_of(name) is followed}
        if followed is Log.TASKS:
            names.update(NAMES)
        if not names:
            place.position = max(place.position, safe)
            return _Followed(is_busy=False, is_reached=True)
        page = self._store.read(followed, after=place.position, limit=self._page_events, names=sorted(names))
        reached = page.position >= safe
        if not page.events:
            place.position = page.position
            return _Followed(is_busy=False, is_reached=reached)
        if any(isinstance(each.event, TaskWaitBegan) for each in page.events):
            self._store.look_for_revoked_stories(self._revoked_stories)
        ends = [end for each in page.events for end in self._ends_of(each, page, followed)]
        with self._store.transaction() as transaction:
            transaction.append_each(Log.TASKS, ends)
            place.store(transaction, to=page.position)
        place.stored(page.position)
        self._forget(ends)
        return _Followed(is_busy=True, is_reached=reached)

    def _ends_of(self, recorded: Recorded, page: Page, followed: Log) -> Iterator[NewEvent]:
        """The waits that end with an event of a page."""
        event = recorded.event
        if isinstance(event, TaskWaitBegan):
            yield from self._begin(recorded, page)
        elif isinstance(event, TaskRevocationRequested):
            if (wait := self._waits.of(event.originator_id)) is not None:
                self._waits.remove(wait.stream)
                yield _revoked(wait, _asked(recorded), at=self._clock())
        elif event.originator_version == SLOT_END and followed is Log.TASKS:
            self._waits.remove(event.originator_id)
        for wait in self._waits.candidates(event):
            if matches(wait.event.terms, event, recorded_at=recorded.recorded_at, since=wait.since):
                self._waits.remove(wait.stream)
                yield _satisfied(wait, recorded, followed, at=self._clock())

    def _begin(self, recorded: Recorded, page: Page) -> Iterator[NewEvent]:
        """Take a wait up, unless what it waits for was recorded before, or it has ended already."""
        story = self._story(recorded.event.originator_id)
        began = _open_wait(story)
        if began is None or began.event_id != recorded.event_id:
            return
        wait, now = self._wait(began), self._clock()
        asked = next((_asked(each) for each in story if isinstance(each.event, TaskRevocationRequested)), None)
        revocation = asked or self._revoked_stories.of(recorded.metadata.get("correlation_id"))
        if revocation is not None:
            yield _revoked(wait, revocation, at=now)
        elif (found := self._look_back(wait, page)) is not None:
            yield _satisfied(wait, found, log_of(str(wait.event.terms.event)) or Log.TASKS, at=now)
        else:
            self._waits.add(wait)

    def _look_back(self, wait: OpenWait, page: Page) -> Recorded | None:
        """The first event that satisfies the wait and will not be followed any more."""
        terms = wait.event.terms
        searched = log_of(terms.event) if terms.event is not None else None
        if terms.event is None or searched is None:
            return None
        upto = page.position if searched is Log.TASKS else self._places[searched].position
        with self._store.transaction() as transaction:
            after = position_before(transaction.connection, searched, wait.since)
        while after is not None and after < upto:
            found = self._store.read(searched, after=after, limit=self._page_events, names=(terms.event,), upto=upto)
            for each in found.events:
                if matches(terms, each.event, recorded_at=each.recorded_at, since=wait.since):
                    return each
            if found.position <= after:
                return None
            after = found.position
        return None

    def _forget(self, ends: list[NewEvent]) -> None:
        for end in ends:
            self._waits.remove(end.event.originator_id)
        if ends:
            log.info("waits ended", runs=len(ends))

    def _stories(self, streams: Sequence[str]) -> list[list[Recorded]]:
        """Whole streams, by one question where all can be read."""
        try:
            return list(self._store.load_recorded(Log.TASKS, streams).values())
        except EventUnreadableError as error:
            if len(streams) > 1:
                return [self._story(stream) for stream in streams]
            log.warning("a waiting run cannot be read; it waits on", run_id=run_id_of(streams[0]), reason=str(error))
            return []

    def _story(self, stream: str) -> list[Recorded]:
        return next(iter(self._stories([stream])), [])

    def _wait(self, began: Recorded) -> OpenWait:
        event = began.event
        assert isinstance(event, TaskWaitBegan)  # noqa: S101  it was found as one
        if event.terms.since is not None:
            return OpenWait.of(began, event, since=event.terms.since)
        since = self._beginning(event) - timedelta(seconds=event.terms.lookback_seconds)
        return OpenWait.of(began, event, since=since)

    def _beginning(self, event: TaskWaitBegan) -> datetime:
        """When the workflow began: when it was sent, as its sender says, or was first recorded, if that was earlier."""
        root, own = run_stream(event.root_id or ""), event.originator_id
        stories = self._store.load_recorded(Log.TASKS, {root, own})
        moments = [each.recorded_at for each in stories.get(root) or stories.get(own, [])]
        sent = event.message.headers.get("ledgerq-began-at")
        if isinstance(sent, str):
            moments += _moments(sent)
        return min(moments)


def _moments(sent: str) -> list[datetime]:
    """What a sender says of when its workflow began; none, where that is no moment."""
    try:
        moment = datetime.fromisoformat(sent)
    except ValueError:
        return []
    return [moment] if moment.tzinfo is not None and is_within_bounds(moment) else []


def _open_wait(story: Sequence[Recorded]) -> Recorded | None:
    is_ended = any(each.event.originator_version == SLOT_END for each in story)
    return None if is_ended else open_wait_in(story)


def _at_its_time(wait: OpenWait, now: datetime) -> NewEvent:
    until = wait.event.terms.until
    if wait.event.terms.event is None or until is None:
        return _end(wait, TaskWaitSatisfied, at=now, cause=wait.began)
    return _end(wait, TaskWaitTimedOut, at=now, cause=wait.began, until=until)


def _satisfied(wait: OpenWait, found: Recorded, in_log: Log, *, at: datetime) -> NewEvent:
    event = found.event
    came = AwaitedEvent(
        id=str(found.event_id),
        name=event.TOPIC,
        stream=event.originator_id,
        log=in_log.value,
        position=found.position,
        data=event.data(),
        occurred_at=event.timestamp,
        recorded_at=found.recorded_at,
    )
    return _end(wait, TaskWaitSatisfied, at=at, cause=found, came=came)


def _end(wait: OpenWait, end: type[WaitEnd], *, at: datetime, cause: Recorded, **data: object) -> NewEvent:
    began = wait.event
    told = {"task": began.task, "attempt": began.attempt, "queue": began.queue, **data}
    return _new(wait, end, told, cause=cause, at=at)


def _asked(recorded: Recorded) -> Revocation:
    event = recorded.event
    assert isinstance(event, TaskRevocationRequested)  # noqa: S101  the caller has looked
    actor = str(recorded.metadata.get("actor") or "somebody")
    return Revocation("", event.reason, actor, recorded.position, event.error_type, event.decided_by)


def _revoked(wait: OpenWait, revocation: Revocation, *, at: datetime) -> NewEvent:
    told = {"task": wait.event.task, "attempt": wait.event.attempt, "queue": wait.event.queue, **revocation.said()}
    end = _new(wait, TaskRevoked, told, cause=wait.began, at=at)
    return end._replace(metadata={**end.metadata, **caused_by(revocation)})


def _new(
    wait: OpenWait, kind: type[TaskEvent], data: Mapping[str, object], *, cause: Recorded, at: datetime
) -> NewEvent:
    event = task_event(kind.TOPIC, run_id_of(wait.stream), at=at, data=dict(data))
    metadata = cause_of(wait.began, actor=ACTOR).metadata() | {"causation_id": str(cause.event_id)}
    return NewEvent(event, uuid5(wait.began.event_id, kind.TOPIC), metadata)

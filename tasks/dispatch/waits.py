"""The follower that ends waits: what happens is held against what runs wait for, and the clock against their times.

Two logs are followed, to a position each. A wait is read from the log of tasks; what had been recorded by then of what
it waits for is looked for up to the position to which that log has been followed, and all that comes after is held
against it as it is followed. So no event falls between, whichever was first. The end of a wait is an event that lies in
one slot of its run and derives from the beginning: what is decided twice, after a crash, counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

import structlog

from domain.moment import is_within_bounds
from domain.run import END_NAMES
from domain.task_run import SLOT_END, TaskRevocationRequested, run_stream
from domain.wait import TaskWaitBegan, matches
from infra.event_store import EventStore, EventUnreadableError, Log, NewEvent, Page, Recorded
from infra.event_store.stories import RevokedStories
from infra.event_store.waits import keep_open_waits, log_of, open_waits, position_before
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.open_waits import OpenWait, OpenWaits, open_wait_in
from tasks.dispatch.place import Place
from tasks.dispatch.subject import run_id_of
from tasks.dispatch.wait_ends import asked, at_its_time, revoked, satisfied

FOLLOWER: Final = "dispatch.waits"
NAMES: Final = (TaskWaitBegan.TOPIC, TaskRevocationRequested.TOPIC, *sorted(END_NAMES))
LOADED_AT_ONCE: Final = 500
"""Streams of waiting runs per question when the follower takes over."""
OPEN: Final = f"{FOLLOWER}.open"
"""Up to its position it is kept which waits are open."""
KEPT_AFTER: Final = 10_000
"""Waits that may have begun since; who takes over looks at each of them. Where more are open: as many as those."""

log = structlog.get_logger(__name__)

Story = list[Recorded]
T = TypeVar("T")
Parts = Generator[None, None, T]
"""Work that is done a part at a time, for whoever publishes waits for it; what comes of it at its end."""


class _Followed(NamedTuple):
    """What one look at a log was.

    Attributes:
        is_busy: whether there was anything.
        is_reached: whether all has been read that was there when the look began.
    """

    is_busy: bool
    is_reached: bool


class WaitsFollower(LogFollower):
    """Ends each wait once.

    Args:
        store: with the logs.
        clock: the present, UTC.
        page_events: most events of one look.
    """

    def __init__(self, store: EventStore, *, clock: Callable[[], datetime], page_events: int) -> None:
        self._followed = {each: Place(FOLLOWER, each) for each in (Log.TASKS, Log.LICENSING)}
        self._open = Place(OPEN, Log.TASKS)
        super().__init__(store, *self._followed.values(), self._open)
        self._clock = clock
        self._page_events = page_events
        self._waits = OpenWaits()
        self._revoked_stories = RevokedStories()
        self._look: Parts[bool] | None = None
        self._begun = 0

    def take_over(self) -> None:
        """Begin where the last one stopped, with the runs that waited by then."""
        self._waits, self._look = OpenWaits(), None
        super().take_over()
        self._keep_open()
        with self._store.transaction() as transaction:
            streams = open_waits(transaction.connection, upto=self._followed[Log.TASKS].position)
        for first in range(0, len(streams), LOADED_AT_ONCE):
            stories = self._stories(streams[first : first + LOADED_AT_ONCE])
            known = self._with_roots(stories)
            for story in stories:
                if (began := _open_wait(story)) is not None:
                    self._waits.add(_wait(began, known))

    def step(self) -> bool:
        """Look at a page of each log, and at the clock, or go on with that; whether there was anything to do.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        look, self._look = self._look or self._looked(), None  # where this fails it is begun anew
        try:
            next(look)
        except StopIteration as done:
            return bool(done.value)
        self._look = look
        return True

    def _looked(self) -> Parts[bool]:
        now = self._clock()
        looks = [(yield from self._follow(Log.TASKS)), (yield from self._follow(Log.LICENSING))]
        ends: list[NewEvent] = []
        if all(look.is_reached for look in looks):  # what has happened comes before what has not
            ends = [at_its_time(wait, now) for wait in self._waits.due(now)]
            if ends:
                self._store.append_each(Log.TASKS, ends)
                self._forget(ends)
        if self._begun >= max(KEPT_AFTER, len(self._waits)):
            self._keep_open()
        return bool(ends) or any(look.is_busy for look in looks)

    def _keep_open(self) -> None:
        """Keep which waits are open, so that who takes over need not look at all that ever began."""
        after = self._open.position
        upto = max(after, self._followed[Log.TASKS].position)
        with self.moving(upto, place=self._open) as transaction:
            keep_open_waits(transaction.connection, after=after, upto=upto)
        self._begun = 0

    def _follow(self, followed: Log) -> Parts[_Followed]:
        place, safe = self._followed[followed], self._store.safe_position(followed)
        names = {name for name in self._waits.names if log_of(name) is followed}
        if followed is Log.TASKS:
            names.update(NAMES if len(self._waits) else NAMES[:1])  # of one that begins here its story tells the rest
        if not names:
            place.position = max(place.position, safe)
            return _Followed(is_busy=False, is_reached=True)
        page = self._store.read(followed, after=place.position, limit=self._page_events, names=sorted(names))
        for unreadable in page.unreadable:
            log.error("an event cannot be read; no wait is taken up, or ended, by it", event=unreadable)
        if any(isinstance(each.event, TaskWaitBegan) for each in page.events):
            self._store.look_for_revoked_stories(self._revoked_stories)
        ends: list[NewEvent] = []
        for each in page.events:
            if isinstance(each.event, TaskWaitBegan):
                ends += yield from self._begin(each, page)
            ends += self._ended_by(each, followed)
        if ends or place.is_far_behind(page.position):
            with self._store.transaction() as transaction:
                transaction.append_each(Log.TASKS, ends)
                place.store(transaction, to=page.position)
            place.stored(page.position)
            self._forget(ends)
        else:
            place.position = page.position
        return _Followed(is_busy=bool(page.events), is_reached=page.position >= safe)

    def _ended_by(self, recorded: Recorded, followed: Log) -> list[NewEvent]:
        """The ends of waits that an event of a page brings about."""
        event, ends = recorded.event, []
        if isinstance(event, TaskRevocationRequested):
            if (wait := self._waits.of(event.originator_id)) is not None:
                self._waits.remove(wait.stream)
                ends.append(revoked(wait, asked(recorded), at=self._clock()))
        elif event.originator_version == SLOT_END and followed is Log.TASKS:
            self._waits.remove(event.originator_id)
        for wait in self._waits.candidates(event):
            if matches(wait.event.terms, event, recorded_at=recorded.recorded_at, since=wait.since):
                self._waits.remove(wait.stream)
                ends.append(satisfied(wait, recorded, followed, at=self._clock()))
        return ends

    def _begin(self, recorded: Recorded, page: Page) -> Parts[list[NewEvent]]:
        """Take a wait up, unless what it waits for was recorded before, or it has ended already."""
        self._begun += 1
        story = self._story(recorded.event.originator_id)
        began = _open_wait(story)
        if began is None or began.event_id != recorded.event_id:
            return []
        wait, now = _wait(began, self._with_roots([story])), self._clock()
        own = next((asked(each) for each in story if isinstance(each.event, TaskRevocationRequested)), None)
        revocation = own or self._revoked_stories.of(recorded.metadata.get("correlation_id"))
        if revocation is not None:
            return [revoked(wait, revocation, at=now)]
        if (found := (yield from self._look_back(wait, page))) is not None:
            return [satisfied(wait, found, log_of(str(wait.event.terms.event)) or Log.TASKS, at=now)]
        self._waits.add(wait)
        return []

    def _look_back(self, wait: OpenWait, page: Page) -> Parts[Recorded | None]:
        """The first event that satisfies the wait and will not be followed any more."""
        terms = wait.event.terms
        searched = log_of(terms.event) if terms.event is not None else None
        if terms.event is None or searched is None:
            return None
        upto = page.position if searched is Log.TASKS else self._followed[searched].position
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
            yield
        return None

    def _forget(self, ends: list[NewEvent]) -> None:
        for end in ends:
            self._waits.remove(end.event.originator_id)
        if ends:
            log.info("waits ended", runs=len(ends))

    def _stories(self, streams: Sequence[str]) -> list[Story]:
        """Whole streams, by one question where all can be read."""
        try:
            return list(self._store.load_recorded(Log.TASKS, streams).values())
        except EventUnreadableError as error:
            if len(streams) > 1:
                return [self._story(stream) for stream in streams]
            log.warning(
                "a run that waits, or whose workflow does, cannot be read",
                run_id=run_id_of(streams[0]),
                reason=str(error),
            )
            return []

    def _story(self, stream: str) -> Story:
        return next(iter(self._stories([stream])), [])

    def _with_roots(self, stories: Sequence[Story]) -> dict[str, Story]:
        """The stories of runs and of the first runs of their workflows, as far as they can be read, by stream."""
        begun = [each.event for story in stories for each in story if isinstance(each.event, TaskWaitBegan)]
        known = {story[0].event.originator_id: story for story in stories if story}
        roots = {run_stream(event.root_id) for event in begun if event.root_id} - known.keys()
        if roots:
            known |= {story[0].event.originator_id: story for story in self._stories(sorted(roots)) if story}
        return known


def _wait(began: Recorded, known: Mapping[str, Story]) -> OpenWait:
    event = began.event
    assert isinstance(event, TaskWaitBegan)  # noqa: S101  it was found as one
    if event.terms.since is not None:
        return OpenWait.of(began, event, since=event.terms.since)
    since = _beginning(event, known) - timedelta(seconds=event.terms.lookback_seconds)
    return OpenWait.of(began, event, since=since)


def _beginning(event: TaskWaitBegan, known: Mapping[str, Story]) -> datetime:
    """When the workflow began: when it was sent, as its sender says, or was first recorded, if that was earlier."""
    root, own = run_stream(event.root_id or ""), event.originator_id
    moments = [each.recorded_at for each in known.get(root) or known[own]]
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


def _open_wait(story: Story) -> Recorded | None:
    is_ended = any(each.event.originator_version == SLOT_END for each in story)
    return None if is_ended else open_wait_in(story)

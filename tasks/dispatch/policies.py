"""The follower that asks the policies: facts of one log in, accepted runs in the tasks log out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

import structlog

from domain.policies import POLICIES
from domain.story import StoryRevocationRequested
from domain.task_run import TaskEvent
from infra.event_store import EventStore, Log, Page
from infra.metrics import catalog
from infra.metrics.instruments import Instruments
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.license_work import end_work
from tasks.dispatch.place import Place
from tasks.dispatch.requests import requested_by
from tasks.dispatch.story_work import end_story
from tasks.dispatch.subject import run_id_of

FOLLOWERS: Final = {Log.LICENSING: "dispatch.policies", Log.TASKS: "dispatch.policies.tasks"}
"""The logs that hold events some policy looks at, and the name under which each is followed."""
_OF_TASKS: Final = (TaskEvent, StoryRevocationRequested)
NAMES: Final = {
    Log.LICENSING: tuple(event.TOPIC for event in POLICIES if not issubclass(event, _OF_TASKS)),
    Log.TASKS: tuple(event.TOPIC for event in POLICIES if issubclass(event, _OF_TASKS)),
}
"""Those events."""

log = structlog.get_logger(__name__)


class PolicyFollower(LogFollower):
    """Asks the policies about each event of a log once; asked again after a crash, they give runs of the same ids.

    Args:
        store: with the logs.
        clock: the present, UTC.
        page_events: most events of one look.
        log: the one that is followed.
        alert_window: length of the windows in each of which there is one alert per task; None: there is none.
        instruments: count what is accepted.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        clock: Callable[[], datetime],
        page_events: int,
        log: Log = Log.LICENSING,
        alert_window: timedelta | None = None,
        instruments: Instruments | None = None,
    ) -> None:
        super().__init__(store, Place(FOLLOWERS[log], log))
        self._clock = clock
        self._page_events = page_events
        self._alert_window = alert_window
        self._accepted = instruments.counter(catalog.DISPATCH_ACCEPTED) if instruments is not None else None
        self._page: Page | None = None
        self._ending: Iterator[int] = iter(())

    def take_over(self) -> None:
        """Begin where the last one stopped."""
        self._page = None
        super().take_over()

    def step(self) -> bool:
        """Look at one page, or go on with what it has to end; whether there was anything to do.

        A license, or a story, may have a million open runs, and whoever publishes waits for this: so they end a part at
        a time.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        if self._page is None and not self._look():
            return False
        page, self._page = self._page, None  # where this fails it is read anew
        if next(self._ending, None) is None and page is not None:
            self._accept(page)
        else:
            self._page = page
        return True

    def _look(self) -> bool:
        followed = self.place.log
        page = self._store.read(followed, after=self.place.position, limit=self._page_events, names=NAMES[followed])
        for unreadable in page.unreadable:
            log.error("no policy can read this event; nothing is done about it", event=unreadable)
        if not page.events:
            self.place.position = page.position
            return False
        now = self._clock()
        self._page = page
        self._ending = itertools.chain.from_iterable(
            ending(self._store, each, at=now) for each in page.events for ending in (end_work, end_story)
        )
        return True

    def _accept(self, page: Page) -> None:
        now = self._clock()
        window = self._alert_window
        requests = [request for recorded in page.events for request in requested_by(recorded, at=now, window=window)]
        with self.moving(page.position) as transaction:
            verdicts = transaction.append_each(Log.TASKS, requests)
        for request, verdict in zip(requests, verdicts, strict=True):
            if verdict.outcome == "taken":
                log.error(
                    "a run of this id was accepted for another cause", run_id=run_id_of(request.event.originator_id)
                )
        if accepted := sum(verdict.outcome == "stored" for verdict in verdicts):
            log.info("runs accepted", runs=accepted)
            if self._accepted is not None:
                self._accepted.inc(accepted)

"""The follower that asks the policies: facts of the licensing log in, accepted runs in the tasks log out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from domain.policies import POLICIES
from infra.event_store import EventStore, Log, Page
from tasks.dispatch.place import Place
from tasks.dispatch.requests import requested_by

FOLLOWER: Final = "dispatch.policies"
NAMES: Final = tuple(event.TOPIC for event in POLICIES)
"""The events that some policy looks at."""

log = structlog.get_logger(__name__)


class PolicyFollower:
    """Asks the policies about each event once; asked again after a crash, they give runs of the same ids."""

    def __init__(self, store: EventStore, *, clock: Callable[[], datetime], page_events: int) -> None:
        self._store = store
        self._clock = clock
        self._page_events = page_events
        self.place = Place(FOLLOWER, Log.LICENSING)

    def take_over(self) -> None:
        """Begin where the last one stopped."""
        with self._store.transaction() as transaction:
            self.place.load(transaction.connection)

    def step(self) -> bool:
        """Look at one page; whether it held anything to do.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        page = self._store.read(Log.LICENSING, after=self.place.position, limit=self._page_events, names=NAMES)
        for unreadable in page.unreadable:
            log.error("no policy can read this event; nothing is done about it", event=unreadable)
        if not page.events:
            self.place.position = page.position
            return False
        self._accept(page)
        return True

    def note_position(self) -> None:
        """Write down how far this has looked, if the store does not know."""
        if self.place.is_ahead:
            position = self.place.position
            with self._store.transaction() as transaction:
                self.place.store(transaction, to=position)
            self.place.stored(position)

    def _accept(self, page: Page) -> None:
        now = self._clock()
        requests = [request for recorded in page.events for request in requested_by(recorded, at=now)]
        with self._store.transaction() as transaction:
            verdicts = transaction.append_each(Log.TASKS, requests)
            self.place.store(transaction, to=page.position)
        self.place.stored(page.position)
        for request, verdict in zip(requests, verdicts, strict=True):
            if verdict.outcome == "taken":
                log.error("a run of this id was accepted for another cause", run=request.event.originator_id)
        log.info("runs accepted", runs=sum(verdict.outcome == "stored" for verdict in verdicts))

"""The follower that knows the webhook endpoints: facts of one log in, accepted deliveries in the tasks log out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import structlog

from domain.policies import deliver
from domain.webhook import Webhook
from domain.webhook_delivery import delivery_purpose
from domain.webhook_subscription import is_wanted, wanted_names
from infra.event_store import EventStore, Log, NewEvent, Page, Recorded
from infra.event_store.webhooks import WebhookStories
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.place import Place
from tasks.dispatch.requests import request_of
from tasks.webhooks.reading import endpoints

FOLLOWERS: Final = {Log.LICENSING: "dispatch.webhooks", Log.TASKS: "dispatch.webhooks.tasks"}
"""The logs that hold events an endpoint may want, and the name under which each is followed."""

log = structlog.get_logger(__name__)


class WebhookFollower(LogFollower):
    """Asks for one delivery per event and endpoint that wants it; asked again after a crash, for the same ones.

    Which endpoints want what is read after it is known how far the log is final: an endpoint that was registered before
    an event is known when that event is looked at. While there is none the log is passed over unread.

    Args:
        store: with the logs.
        clock: the present, UTC.
        page_events: most events of one look.
        log: the one that is followed.
    """

    def __init__(
        self, store: EventStore, *, clock: Callable[[], datetime], page_events: int, log: Log = Log.LICENSING
    ) -> None:
        super().__init__(store, Place(FOLLOWERS[log], log))
        self._clock = clock
        self._page_events = page_events
        self._stories: WebhookStories | None = None
        self._wanted: list[tuple[Webhook, set[str]]] = []

    def step(self) -> bool:
        """Look at one page; whether there was anything to do.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        followed, after = self.place.log, self.place.position
        safe = self._store.safe_position(followed)
        if safe <= after:
            return False
        self._look_at_endpoints()
        names = {name for _, wanted in self._wanted for name in wanted}
        if not names:
            self.place.position = safe
            return False
        page = self._store.read(followed, after=after, limit=self._page_events, names=names, upto=safe)
        for unreadable in page.unreadable:
            log.error("an event cannot be read; no endpoint is told of it", event=unreadable)
        self._accept(page)
        return bool(page.events)

    def _look_at_endpoints(self) -> None:
        stories = self._store.webhook_stories(self._stories)
        if stories is self._stories:
            return
        self._stories = stories
        for unreadable in stories.unreadable:
            log.error("what was done about an endpoint cannot be read", event=unreadable)
        active = [each for each in endpoints(stories.events) if each.since is not None and each.terms is not None]
        self._wanted = [(each, wanted_names(each.terms.patterns)) for each in active if each.terms is not None]

    def _accept(self, page: Page) -> None:
        now = self._clock()
        requests = [request for recorded in page.events for request in self._requests(recorded, now)]
        if not requests:
            self.place.position = page.position
            return
        with self.moving(page.position) as transaction:
            transaction.append_each(Log.TASKS, requests)
        log.info("deliveries accepted", deliveries=len(requests))

    def _requests(self, recorded: Recorded, now: datetime) -> Iterator[NewEvent]:
        event = recorded.event
        for endpoint, names in self._wanted:
            if endpoint.since is None or recorded.recorded_at < endpoint.since or not is_wanted(event, names):
                continue
            command = deliver(
                endpoint.name,
                log=self.place.log.value,
                stream=event.originator_id,
                version=event.originator_version,
                purpose=delivery_purpose(endpoint.name),
            )
            yield request_of(command, recorded, at=now)

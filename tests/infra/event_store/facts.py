"""Facts for tests about storing: what they say does not matter, where they stand does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import uuid4

from domain.heartbeat import WatermarkPassed
from infra.event_store import EventStore, Log, NewEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fact(stream: str, version: int = 1) -> NewEvent:
    """A fact with an id of its own."""
    return NewEvent(WatermarkPassed(originator_id=stream, originator_version=version, timestamp=NOON), uuid4(), {})


def facts(stream: str, versions: Iterable[int]) -> list[NewEvent]:
    """Facts of one stream."""
    return [fact(stream, version) for version in versions]


class Follower:
    """Follows a log page by page and keeps where everything was."""

    def __init__(self, store: EventStore, log: Log, *, page: int = 100) -> None:
        self.position = 0
        self.places: list[tuple[int, str, int]] = []
        self._store = store
        self._log = log
        self._page = page

    def look(self) -> bool:
        """Look at one page; whether the position moved."""
        page = self._store.read(self._log, after=self.position, limit=self._page)
        moved = page.position > self.position
        self.places += [(at, event.originator_id, event.originator_version) for at, event, *_ in page.events]
        self.position = page.position
        return moved

    def catch_up(self) -> list[str]:
        """Look until there is nothing new; the streams met so far, in order."""
        while self.look():
            pass
        return [stream for _position, stream, _version in self.places]

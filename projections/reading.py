"""Reading a log for a projection: page after page, and the next one while the one in hand is being written."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from infra.event_store import EventStore, Log, Page
from projections.projection import Projection, page_limit


class Reader:
    """Pages of the logs that one projection follows.

    Where there is more than a page, the next one is read by a thread of its own, while the caller waits for the
    database to write this one. Nothing is read ahead by who is up to date.

    Args:
        projection: the one whose logs and names are read.
        store: where they are.
        batch_events: events per page.
    """

    def __init__(self, projection: Projection, store: EventStore, *, batch_events: int) -> None:
        self._follows = projection.follows
        self._store = store
        self._batch_events = batch_events
        self._thread: ThreadPoolExecutor | None = None
        self._ahead: dict[Log, tuple[int, Future[Page]]] = {}

    def page(self, log: Log, *, after: int) -> Page:
        """The page after a position; its position is the same where there is nothing new."""
        page = self._read_ahead(log, after) or self._read(log, after)
        if len(page.events) + len(page.unreadable) >= page_limit(log, self._batch_events):
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "read ahead")
            self._ahead[log] = (page.position, self._thread.submit(self._read, log, page.position))
        return page

    def page_upto(self, log: Log, *, after: int, upto: int) -> Page:
        """The page after one position that ends at another one, or before."""
        return self._read(log, after, upto)

    def close(self) -> None:
        """Let go of what was read ahead."""
        self._ahead.clear()
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None

    def _read_ahead(self, log: Log, after: int) -> Page | None:
        """What was read ahead, if it is what is wanted; an empty page may have been read before there was more."""
        position, future = self._ahead.pop(log, (None, None))
        if future is None or position != after:
            return None
        page = future.result()
        return page if page.position > after else None

    def _read(self, log: Log, after: int, upto: int | None = None) -> Page:
        limit = page_limit(log, self._batch_events)
        return self._store.read(log, after=after, limit=limit, names=self._follows[log], upto=upto)

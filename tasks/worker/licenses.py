"""Licenses: how those stand that the runs of this worker name, read from their own streams and followed from there.

A thread of the worker's main process begins with the first run that names a license, so whoever has no such runs has no
such thread. It loads the stream of a license that is asked about, and afterwards looks again and again at which
licenses something was recorded of, by a partial index, and loads those anew. While the database is away the worker
goes on with what it knew, and a license it does not know is nobody's to decide about.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Final
from weakref import WeakValueDictionary

import structlog

from domain.license import license_stream
from domain.ruling import Standing, standing_of
from infra.event_store import EventStore, EventUnreadableError, Log

KEPT: Final = 10_000
"""Licenses that are kept in mind, those asked about last; others are loaded again when they are asked about."""
AWAY_SECONDS: Final = 2.0
"""How long a database that was away is not asked again."""
LOADED_AT_ONCE: Final = 500

_log = structlog.get_logger("ledgerq.worker")


class FollowedLicense:
    """A license that is followed for as long as somebody holds this.

    Attributes:
        license_id: which.
        standing: how it stands; None: nothing was ever told of such a license.
    """

    __slots__ = ("__weakref__", "license_id", "standing")

    def __init__(self, license_id: str, standing: Standing | None) -> None:
        self.license_id = license_id
        self.standing = standing


Answer = Callable[[FollowedLicense | None], None]


class Licenses:
    """Asked on the consumer's thread; the answers are given on another, which begins with the first question.

    Args:
        open_store: connects to the store, when it is first needed.
        interval: between two looks at what was recorded of licenses.
        kept: how many are kept in mind.
    """

    def __init__(self, open_store: Callable[[], EventStore], *, interval: timedelta, kept: int = KEPT) -> None:
        self._open_store = open_store
        self._interval_seconds = interval.total_seconds()
        self._most = kept
        self._inbox: SimpleQueue[tuple[str, Answer] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, FollowedLicense] = OrderedDict()
        self._followed: WeakValueDictionary[str, FollowedLicense] = WeakValueDictionary()
        self._position: int | None = None
        self._thread: threading.Thread | None = None
        self._away_until = 0.0

    def known(self, license_id: str) -> FollowedLicense | None:
        """The license, if it is followed already."""
        with self._lock:
            found = self._followed.get(license_id)
            if found is not None:
                self._keep(found)
            return found

    def ask(self, license_id: str, then: Answer) -> None:
        """Have ``then`` called with the license, or with None where nobody can say; returns at once."""
        self._inbox.put((license_id, then))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="licenses", daemon=True)
            self._thread.start()

    def stop(self, timeout: timedelta) -> None:
        """End the thread."""
        if self._thread is not None:
            self._inbox.put(None)
            self._thread.join(timeout.total_seconds())

    def _work(self) -> None:
        store = self._open_store()
        looked_at = time.monotonic()
        while True:
            asked = self._take(until=looked_at + self._interval_seconds)
            questions = [each for each in asked if each is not None]
            self._answer(store, questions)
            if len(questions) < len(asked):
                store.close()
                return
            if time.monotonic() >= looked_at + self._interval_seconds:
                self._look(store)
                looked_at = time.monotonic()

    def _take(self, *, until: float) -> list[tuple[str, Answer] | None]:
        """What has come; waits for the first, up to a moment."""
        try:
            taken = [self._inbox.get(timeout=max(0.0, until - time.monotonic()))]
        except Empty:
            return []
        while not self._inbox.empty():
            taken.append(self._inbox.get())
        return taken

    def _answer(self, store: EventStore, questions: list[tuple[str, Answer]]) -> None:
        unknown = {license_id for license_id, _ in questions if self.known(license_id) is None}
        found = self._loaded(store, unknown)
        for license_id, then in questions:
            then(self.known(license_id) or found.get(license_id))

    def _loaded(self, store: EventStore, license_ids: Collection[str]) -> dict[str, FollowedLicense]:
        """Those that could be loaded; they are followed from here on."""
        if not license_ids or time.monotonic() < self._away_until:
            return {}
        try:
            if self._position is None:  # first: what is recorded after this is looked for later
                self._position = store.safe_position(Log.LICENSING)
            return self._load(store, license_ids)
        except Exception as error:  # noqa: BLE001  each question gets an answer: a message waits for it
            self._say_away(error)
            return {}

    def _look(self, store: EventStore) -> None:
        """Load those anew that something was recorded of since the last look."""
        if self._position is None or time.monotonic() < self._away_until:
            return
        try:
            touched, position = store.touched_licenses(after=self._position)
            concerned = sorted(touched & set(self._followed.keys()))
            for at in range(0, len(concerned), LOADED_AT_ONCE):
                self._load(store, concerned[at : at + LOADED_AT_ONCE])
            self._position = position
        except Exception as error:  # noqa: BLE001  a worker that hears of nothing any more would not be noticed
            self._say_away(error)

    def _load(self, store: EventStore, license_ids: Collection[str]) -> dict[str, FollowedLicense]:
        try:
            stories = store.load_recorded(Log.LICENSING, [license_stream(each) for each in license_ids])
        except EventUnreadableError as error:  # a newer version of the code wrote it
            if len(license_ids) > 1:
                return {key: found for each in license_ids for key, found in self._load(store, [each]).items()}
            _log.error("nobody can say how a license stands; its runs wait", detail=str(error))
            for license_id in license_ids:
                self._forget(license_id)
            return {}
        found = {}
        for each in license_ids:
            story = stories.get(license_stream(each), [])
            try:
                standing = standing_of((recorded.event, recorded.event_id) for recorded in story)
            except Exception:  # noqa: BLE001  a beginning that was erased, say, is the fault of no other license
                _log.exception("nobody can say how a license stands; its runs wait", license=each)
                self._forget(each)
            else:
                found[each] = self._note(each, standing)
        return found

    def _note(self, license_id: str, standing: Standing | None) -> FollowedLicense:
        with self._lock:
            found = self._followed.get(license_id)
            if found is None:
                found = self._followed[license_id] = FollowedLicense(license_id, standing)
            found.standing = standing
            self._keep(found)
            return found

    def _keep(self, followed: FollowedLicense) -> None:
        self._kept[followed.license_id] = followed
        self._kept.move_to_end(followed.license_id)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def _forget(self, license_id: str) -> None:
        with self._lock:
            self._kept.pop(license_id, None)
            self._followed.pop(license_id, None)

    def _say_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        _log.warning("how licenses stand cannot be read; runs of those that are not known wait", detail=str(error))

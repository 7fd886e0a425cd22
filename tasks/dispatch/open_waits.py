"""Open waits, in memory: found by an event that comes, and by the time at which they end. Pure."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Self

import msgspec
from msgspec.structs import replace

from domain.aggregate import Event
from domain.kept_message import KeptMessage
from domain.task_run import AttemptEvent
from domain.wait import TaskWaitBegan, WaitEnd, facts_of, value_at
from infra.event_store import Recorded

SETTLED_AFTER: Final = timedelta(seconds=1)
"""So long after the time until which an event may come, what was recorded by then can be read."""

FORGOTTEN: Final = 1_000
"""So many times of waits that have ended are kept beside those of open ones, and not many more: some are years away."""

_NOT_HERE: Final = KeptMessage(body=None, size_bytes=0)


class OpenWait(NamedTuple):
    """A run that waits.

    Attributes:
        began: its ``task.wait_began``, in its envelope; without the message that is kept, which may be large.
        event: the same.
        since: from when on events count.
    """

    began: Recorded
    event: TaskWaitBegan
    since: datetime

    @classmethod
    def of(cls, began: Recorded, event: TaskWaitBegan, *, since: datetime) -> Self:
        """The wait that began so."""
        slim = replace(event, message=_NOT_HERE)
        return cls(began._replace(event=slim), slim, since)

    @property
    def stream(self) -> str:
        """Of its run."""
        return self.event.originator_id


class OpenWaits:
    """Those that are open, each run's one.

    They lie under the name of the event and one value that it must have, so that an event is held against those
    alone that it may satisfy.
    """

    def __init__(self) -> None:
        self._by_stream: dict[str, OpenWait] = {}
        self._by_value: dict[str, dict[str, dict[bytes, dict[str, OpenWait]]]] = {}
        self._due: list[tuple[datetime, int, str]] = []

    def __len__(self) -> int:
        return len(self._by_stream)

    @property
    def names(self) -> set[str]:
        """Names of the events that somebody waits for."""
        return set(self._by_value)

    def of(self, stream: str) -> OpenWait | None:
        """What the run waits for, if it waits."""
        return self._by_stream.get(stream)

    def add(self, wait: OpenWait) -> None:
        """A run waits from now on."""
        self.remove(wait.stream)
        self._by_stream[wait.stream] = wait
        if wait.event.terms.event is not None:
            self._places(wait)[wait.stream] = wait
        if wait.event.terms.until is not None:
            settled = SETTLED_AFTER if wait.event.terms.event is not None else timedelta(0)
            heapq.heappush(self._due, (wait.event.terms.until + settled, wait.began.position, wait.stream))
        if len(self._due) > 2 * len(self._by_stream) + FORGOTTEN:
            self._due = [each for each in self._due if self._is_open(each[1], each[2])]
            heapq.heapify(self._due)

    def remove(self, stream: str) -> None:
        """A run does not wait any longer."""
        wait = self._by_stream.pop(stream, None)
        if wait is None or (name := wait.event.terms.event) is None:
            return
        self._places(wait).pop(stream, None)
        path, value = _key(wait)
        if not self._by_value[name][path][value]:
            del self._by_value[name][path][value]
        if not self._by_value[name][path]:
            del self._by_value[name][path]
        if not self._by_value[name]:
            del self._by_value[name]

    def candidates(self, event: Event) -> list[OpenWait]:
        """Those that may wait for ``event``, in the order in which they began."""
        by_path = self._by_value.get(event.TOPIC)
        if not by_path:
            return []
        facts = facts_of(event)
        found = [w for path, by in by_path.items() for w in by.get(_coded(path, value_at(facts, path)), {}).values()]
        return sorted(found, key=lambda wait: wait.began.position)

    def due(self, now: datetime) -> Iterator[OpenWait]:
        """Those whose time has come, the earliest first; each is given once."""
        while self._due and self._due[0][0] <= now:
            _, position, stream = heapq.heappop(self._due)
            if self._is_open(position, stream):
                yield self._by_stream[stream]

    def _is_open(self, position: int, stream: str) -> bool:
        wait = self._by_stream.get(stream)
        return wait is not None and wait.began.position == position

    def _places(self, wait: OpenWait) -> dict[str, OpenWait]:
        path, value = _key(wait)
        return self._by_value.setdefault(str(wait.event.terms.event), {}).setdefault(path, {}).setdefault(value, {})


def open_wait_in(story: Sequence[Recorded]) -> Recorded | None:
    """The beginning of the wait that a run is in, by its whole stream; None where it is in none.

    A run that has ended, whose wait has, or that has gone on with another attempt for another reason is in none.
    """
    attempts: dict[int, list[Any]] = defaultdict(list)
    for each in story:
        if isinstance(each.event, AttemptEvent):
            attempts[each.event.attempt].append(each)
    last = attempts[max(attempts)] if attempts else []
    began = next((each for each in last if isinstance(each.event, TaskWaitBegan)), None)
    return None if any(isinstance(each.event, WaitEnd) for each in last) else began


def _key(wait: OpenWait) -> tuple[str, bytes]:
    """The first of the values it asks for, which tells most where the caller thought of it first."""
    for path, value in wait.event.terms.match.items():
        return path, _coded(path, value)
    return "", b""


def _coded(path: str, value: Any) -> bytes:
    """A value as a key; numbers that are equal are the same."""
    if not path:
        return b""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return msgspec.json.encode(value, order="deterministic")
    except TypeError:
        return b"-"  # there is no such field

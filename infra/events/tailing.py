"""Following logs as they grow, several of them merged in order of recording."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final

from infra.event_store.log import Log
from infra.events.reading import Logged, LogReader, Place, Which

PAGE_EVENTS: Final = {Log.LICENSING: 500, Log.TASKS: 500, Log.HEARTBEATS: 20}
"""Events per statement: one of the heartbeats log may hold thousands of heartbeats."""
LOOKED_BACK_STRETCHES: Final = 20
"""How far the last matching events are looked for: the rarest filter costs as many statements per log."""


class Tail:
    """The end of some logs: its last events first, then what comes. Goes up to the safe position only.

    Args:
        reader: where to read.
        logs: which logs.
        which: which of their events.
    """

    def __init__(self, reader: LogReader, logs: Collection[Log], which: Which) -> None:
        self._reader = reader
        self._which = which
        self._positions: dict[Log, int] = dict.fromkeys(logs, 0)
        self._since: dict[Log, datetime] = {}

    def begin_since(self, moment: datetime) -> None:
        """Have the next :meth:`look` begin with what was recorded at ``moment``."""
        self._since = dict.fromkeys(self._positions, moment)

    def last(self, count: int) -> tuple[list[Logged], bool]:
        """The last ``count`` events; the next :meth:`look` begins after them.

        Returns:
            the events, in order of recording, and whether everything was looked at that may have held them.
        """
        found: list[Logged] = []
        is_everything = True
        for log in self._positions:
            self._positions[log] = safe = self._reader.safe_position(log)
            of_log, is_all = self._last(log, safe, count)
            found += of_log
            is_everything &= is_all
        found.sort(key=_order)
        return (found[-count:] if count else []), is_everything or len(found) >= count

    def look(self) -> Iterator[Logged]:
        """What is new since the last look, in order of recording."""
        safe = {log: self._reader.safe_position(log) for log in self._positions}
        yield from heapq.merge(*(self._new(log, upto) for log, upto in safe.items()), key=_order)

    def _new(self, log: Log, upto: int) -> Iterator[Logged]:
        if log in self._since:
            yield from self._recorded_since(log, self._since[log], upto)
            self._positions[log] = upto
            del self._since[log]
        while self._positions[log] < upto:
            found, self._positions[log] = self._reader.after(
                log, self._positions[log], upto=upto, limit=PAGE_EVENTS[log], which=self._which
            )
            yield from found

    def _recorded_since(self, log: Log, moment: datetime, upto: int) -> Iterator[Logged]:
        place: Place | None = Place(moment)
        while place is not None:
            found, place = self._reader.by_time(log, place, upto=upto, limit=PAGE_EVENTS[log], which=self._which)
            yield from found

    def _last(self, log: Log, safe: int, count: int) -> tuple[list[Logged], bool]:
        found: list[Logged] = []
        position = safe
        for _ in range(LOOKED_BACK_STRETCHES):
            if position == 0 or len(found) >= count:
                break
            page = min(count - len(found), PAGE_EVENTS[log])
            earlier, position = self._reader.before(log, position, limit=page, which=self._which)
            found = earlier + found
        return found, position == 0 or len(found) >= count


def _order(logged: Logged) -> tuple[datetime, int]:
    return logged.row.recorded_at, logged.row.position

"""Blind windows: log time jumped, so for a while nobody looked, and services may have had no way to us.

Markers are sent every few seconds and log time follows them. Where it moves on by more than :data:`MISSED` intervals at
once, markers are missing: ingest, the broker or the database was away, or ingest was stuck. That is recorded in the
transaction that moves log time on, and before it: whoever knows the new log time knows of the window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid5

import structlog

from domain.blindness import Away, BlindWindowPassed
from domain.heartbeat import WATERMARK_PREFIX
from infra.event_store import EventStore, NewEvent
from tasks.ingest.watermark import HOLD

MISSED: Final = 2.5
"""Log time that moves on by more intervals than this at once has jumped."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.ingest")


class _Noticed(NamedTuple):
    at: datetime
    away: Away


class Blindness:
    """Finds the windows, for one process.

    Args:
        interval: between two markers.
        clock: the present; the markers' own clock.
    """

    def __init__(self, *, interval: timedelta, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._longest_step = MISSED * interval
        self._clock = clock
        self._reached: datetime | None = None
        self._noticed = [_Noticed(clock(), Away.INGEST)]

    def notice(self, away: Away) -> None:
        """Remember that something is out of reach at this moment."""
        self._noticed.append(_Noticed(self._clock(), away))

    def windows(self, watermarks: Sequence[NewEvent], *, store: EventStore, in_company: bool) -> list[NewEvent]:
        """The windows that come to be known as log time moves on; asked twice about the same, it says the same.

        Args:
            watermarks: the facts by which it will.
            store: asked how far log time had come where this process does not know, or would find a window: another
                process may have moved it on.
            in_company: whether log time is, or was a moment ago, held back for others; it then moves on by as much at
                once although everything was seen.
        """
        found: list[NewEvent] = []
        reached = self._reached
        longest_step = self._longest_step + (HOLD if in_company else timedelta(0))
        for watermark in watermarks:
            until = watermark.event.timestamp
            if reached is None or until - reached > longest_step:
                known = store.last_watermark()
                if known is not None and not known.is_watched:
                    found.append(self._window(None, watermark))
                elif known is not None and until - (since := max(known.at, reached or known.at)) > longest_step:
                    found.append(self._window(since, watermark))
            reached = until if reached is None else max(reached, until)
        return found

    def stored(self, watermarks: Sequence[NewEvent]) -> None:
        """Log time has moved on, and the windows are recorded."""
        for watermark in watermarks:
            until = watermark.event.timestamp
            self._reached = until if self._reached is None else max(self._reached, until)
            self._noticed = [each for each in self._noticed if each.at > until]

    def _window(self, since: datetime | None, watermark: NewEvent) -> NewEvent:
        until = watermark.event.timestamp
        marker_id = UUID(watermark.event.originator_id.removeprefix(WATERMARK_PREFIX))
        away = {each.away for each in self._noticed if since is not None and since <= each.at <= until}
        _log.warning("nobody looked for a while", since=str(since), until=str(until), away=sorted(away))
        event = BlindWindowPassed.between(since, until, marker_id=marker_id, away=away)
        return NewEvent(event, uuid5(marker_id, BlindWindowPassed.TOPIC), watermark.metadata)

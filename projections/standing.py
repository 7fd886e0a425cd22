"""Where a session stands after some heartbeats: which of them were news, and what the others were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec

from projections.heard import Beat
from projections.moments import NEVER
from projections.returns import SILENCE, Return

_SILENCE_US: Final = SILENCE // timedelta(microseconds=1)


class Standing(msgspec.Struct):
    """Where a session stands; times are microseconds since 2000.

    Attributes:
        session_id: which.
        last: its newest heartbeat; NEVER: it sent none.
        heard_at: when one was last recorded, news or not; NEVER likewise.
        news: how many were newer than all before: these are its signs of life, …
        late: … of them those that came when log time was well past them, …
        future: … and those that said they occurred after we were told.
        repeated: how many were as old as the newest before.
        out_of_order: how many were older.
        least_delay: of those that were news, the shortest time from occurring to being recorded, in microseconds; below
            zero where the session's clock is ahead. None: none was news.
        last_delay: likewise, of the newest.
        returns: the silences that were broken, in order, by whatever heartbeat.
        back_at: the first news since the latest of them, that heartbeat included; NEVER: there was none yet.
        filled_at: the first news since a silence that had been broken before, if there was one.
    """

    session_id: str
    last: int = NEVER
    heard_at: int = NEVER
    news: int = 0
    late: int = 0
    future: int = 0
    repeated: int = 0
    out_of_order: int = 0
    least_delay: int | None = None
    last_delay: int | None = None
    returns: list[Return] = []
    back_at: int = NEVER
    filled_at: int | None = None

    def take(self, beat: Beat) -> None:
        """Take one more in; it counts when it is newer than the last one that counted."""
        sign_at = max(self.last, self.heard_at)
        if sign_at == NEVER or beat.log_time - sign_at > _SILENCE_US:
            self.returns.append(
                Return(self.session_id, beat.recorded_at, NEVER, self.last, self.heard_at, beat.log_time)
            )
            self.back_at = NEVER
        if beat.at > self.last:
            self._count(beat)
        elif beat.at == self.last:
            self.repeated += 1
        else:
            self.out_of_order += 1
        self.heard_at = max(self.heard_at, beat.recorded_at)

    def _count(self, beat: Beat) -> None:
        if self.back_at == NEVER:
            self._come_back(beat.at)
        self.last = beat.at
        self.news += 1
        if beat.ahead:
            self.future += 1
        elif beat.is_late:
            self.late += 1
        self.last_delay = beat.recorded_at - beat.at - beat.ahead
        self.least_delay = self.last_delay if self.least_delay is None else min(self.least_delay, self.last_delay)

    def _come_back(self, at: int) -> None:
        """The first news since one silence, or several: none of their heartbeats was any."""
        self.back_at = at
        if self.filled_at is None and not (self.returns and self.returns[0].heartbeat_at != NEVER):
            self.filled_at = at
        self.returns = [each._replace(heartbeat_at=at) if each.heartbeat_at == NEVER else each for each in self.returns]


class Before(NamedTuple):
    """What the table knows of a session; see :class:`Standing`."""

    last: int = NEVER
    heard_at: int = NEVER
    back_at: int = NEVER


def stand(session_id: str, beats: Iterable[Beat], *, before: Before) -> Standing:
    """Where a session stands after ``beats``, in order."""
    standing = Standing(session_id, before.last, before.heard_at, back_at=before.back_at)
    for beat in beats:
        standing.take(beat)
    return standing


def silent_since(log_times: Sequence[int]) -> list[int]:
    """For each heartbeat, from log time at its place: it broke a silence if the last sign of life was before this."""
    return [NEVER if log_time == NEVER else log_time - _SILENCE_US for log_time in log_times]

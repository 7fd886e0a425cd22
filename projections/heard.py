"""What a page of the heartbeats log says of each session, before anybody looks at the table.

Nearly every session is heard of once in a page, in time. Of those a column of each value goes to the database as it is;
the others are folded (:mod:`projections.standing`), once it is known where they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import repeat
from typing import Final, NamedTuple

from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from infra.event_store import Recorded
from projections.moments import microseconds

LATE: Final = timedelta(seconds=60)
"""A heartbeat is late where log time had come further past its own time than this: its sender was late, not we."""
_LATE_US: Final = LATE // timedelta(microseconds=1)


class Beat(NamedTuple):
    """A heartbeat of a session; times are microseconds since 2000.

    Attributes:
        at: its own time.
        log_time: log time at its place.
        recorded_at: when the log recorded it.
        ahead: by how many microseconds it says it occurred after we were told.
    """

    at: int
    log_time: int
    recorded_at: int
    ahead: int = 0

    @property
    def is_late(self) -> bool:
        """Whether it came when log time was well past it."""
        return self.log_time - self.at > _LATE_US


class Heard(NamedTuple):
    """The sessions heard of; times are microseconds since 2000.

    Attributes:
        session_ids: those heard of once, in time …
        at: … each with the time of its heartbeat, …
        log_times: … log time at its place, …
        recorded_at: … and when the log recorded it.
        folded: the others, each with its heartbeats in order of position.
    """

    session_ids: list[str]
    at: list[int]
    log_times: list[int]
    recorded_at: list[int]
    folded: dict[str, list[Beat]]


def hear(told: Iterable[Recorded], *, log_time: int) -> Heard:
    """What a page says of each session.

    Args:
        told: events of the heartbeats log, in order of position; what is neither heartbeats nor a watermark is passed
            over.
        log_time: before the page, in microseconds since 2000.

    Raises:
        ValueError: a batch has more sessions than times, or the other way round.
    """
    page = _Page()
    for _, event, _, _, recorded_at in told:
        if isinstance(event, WatermarkPassed):
            log_time = max(log_time, microseconds(event.timestamp))
        elif isinstance(event, HeartbeatsReceived):
            page.hear(event, log_time=log_time, recorded_at=microseconds(recorded_at))
    return page.heard()


class _Page:
    """Takes in batch after batch, in columns; a batch of heartbeats in time of nobody again costs a few steps."""

    def __init__(self) -> None:
        self._heard = Heard([], [], [], [], {})
        self._numbers: dict[str, int] = {}

    def hear(self, batch: HeartbeatsReceived, *, log_time: int, recorded_at: int) -> None:
        first = microseconds(batch.timestamp)
        times = [first + offset_ms * 1000 for offset_ms in batch.offsets_ms]
        session_ids = batch.session_ids
        if len(times) != len(session_ids):
            raise ValueError(f"{batch.originator_id} has {len(session_ids)} sessions and {len(times)} times")
        is_plain = first >= log_time - _LATE_US and not batch.ahead
        if is_plain and self._brings_nobody_again(session_ids):
            self._append(session_ids, times, log_time, recorded_at)
            return
        ahead = {number: ahead_ms * 1000 for number, ahead_ms in batch.ahead}
        for number, (session_id, at) in enumerate(zip(session_ids, times, strict=True)):
            self._hear_one(session_id, Beat(at, log_time, recorded_at, ahead.get(number, 0)))

    def heard(self) -> Heard:
        session_ids, at, log_times, recorded_at, folded = self._heard
        if not folded:
            return self._heard
        once = [number for session_id, number in self._numbers.items() if session_id not in folded]
        at, log_times, recorded_at = ([times[number] for number in once] for times in (at, log_times, recorded_at))
        return Heard([session_ids[number] for number in once], at, log_times, recorded_at, folded)

    def _brings_nobody_again(self, session_ids: Sequence[str]) -> bool:
        folded = self._heard.folded
        return (
            self._numbers.keys().isdisjoint(session_ids)
            and (not folded or folded.keys().isdisjoint(session_ids))
            and len(set(session_ids)) == len(session_ids)
        )

    def _hear_one(self, session_id: str, beat: Beat) -> None:
        _, at, log_times, recorded_at, folded = self._heard
        if session_id in folded:
            folded[session_id].append(beat)
        elif session_id in self._numbers:
            number = self._numbers[session_id]
            folded[session_id] = [Beat(at[number], log_times[number], recorded_at[number]), beat]
        elif beat.ahead or beat.is_late:
            folded[session_id] = [beat]
        else:
            self._append([session_id], [beat.at], beat.log_time, beat.recorded_at)

    def _append(self, session_ids: Sequence[str], times: Sequence[int], log_time: int, recorded_at: int) -> None:
        known, count = len(self._numbers), len(session_ids)
        self._numbers.update(zip(session_ids, range(known, known + count), strict=True))
        self._heard.session_ids.extend(session_ids)
        self._heard.at.extend(times)
        self._heard.log_times.extend(repeat(log_time, count))
        self._heard.recorded_at.extend(repeat(recorded_at, count))

"""What a page of the heartbeats log says of each session, before anybody looks at the table.

Nearly every session is heard of once in a page. Of those a column of each value goes to the database as it is; sessions
that are heard of more often are folded here, once it is known where they stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import chain
from typing import Final, NamedTuple

from domain.heartbeat import HeartbeatsReceived, WatermarkPassed
from infra.event_store import Recorded
from projections.moments import NEVER, microseconds
from projections.returns import SILENCE

_SILENCE_US: Final = SILENCE // timedelta(microseconds=1)


class Beat(NamedTuple):
    """A heartbeat of a session; times are microseconds since 2000.

    Attributes:
        at: its own time.
        log_time: log time at its place.
        recorded_at: when the log recorded it.
    """

    at: int
    log_time: int
    recorded_at: int


class Heard(NamedTuple):
    """The sessions heard of; times are microseconds since 2000.

    Attributes:
        session_ids: those heard of once …
        at: … each with the time of its heartbeat, …
        log_times: … log time at its place, …
        recorded_at: … and when the log recorded it.
        repeated: those heard of more than once, each with its heartbeats in order of position.
    """

    session_ids: list[str]
    at: list[int]
    log_times: list[int]
    recorded_at: list[int]
    repeated: dict[str, list[Beat]]


class Standing(NamedTuple):
    """Where a session stands after some heartbeats.

    Attributes:
        last: its newest heartbeat.
        news: how many of them were newer than all before.
        returns: those of them that broke a silence, in order.
        heard_at: when one of them was last recorded, news or not.
    """

    last: int
    news: int
    returns: list[int]
    heard_at: int


def hear(told: Iterable[Recorded], *, log_time: int) -> Heard:
    """What a page says of each session.

    Args:
        told: events of the heartbeats log, in order of position; what is neither heartbeats nor a watermark is passed
            over.
        log_time: before the page, in microseconds since 2000.

    Raises:
        ValueError: a batch has more sessions than times, or the other way round.
    """
    batches: list[_Batch] = []
    for _, event, _, _, recorded_at in told:
        if isinstance(event, WatermarkPassed):
            log_time = max(log_time, microseconds(event.timestamp))
        elif isinstance(event, HeartbeatsReceived):
            batches.append(_batch(event, log_time=log_time, recorded_at=microseconds(recorded_at)))
    heard = Heard([], [], [], [], _repeated(list(chain.from_iterable(batch.session_ids for batch in batches))))
    for batch in batches:
        _hear(heard, batch)
    return heard


def stand(beats: Iterable[Beat], *, last: int | None) -> Standing:
    """Where a session stands after ``beats``, in order: one counts when it is newer than the last one that counted.

    Args:
        beats: at least one.
        last: the last one that counted before them; None: there was none.
    """
    newest, news, returns, heard_at = NEVER if last is None else last, 0, list[int](), NEVER
    for beat in beats:
        heard_at = max(heard_at, beat.recorded_at)
        if beat.at > newest:
            if max(beat.at, beat.log_time) - newest > _SILENCE_US:
                returns.append(beat.at)
            newest, news = beat.at, news + 1
    return Standing(newest, news, returns, heard_at)


class _Batch(NamedTuple):
    session_ids: Sequence[str]
    at: list[int]
    log_time: int
    recorded_at: int


def _batch(event: HeartbeatsReceived, *, log_time: int, recorded_at: int) -> _Batch:
    first = microseconds(event.timestamp)
    at = [first + offset_ms * 1000 for offset_ms in event.offsets_ms]
    if len(at) != len(event.session_ids):
        raise ValueError(f"{event.originator_id} has {len(event.session_ids)} sessions and {len(at)} times")
    return _Batch(event.session_ids, at, log_time, recorded_at)


def _repeated(session_ids: list[str]) -> dict[str, list[Beat]]:
    """The sessions that are there more than once."""
    if len(set(session_ids)) == len(session_ids):
        return {}
    return {session_id: [] for session_id, count in Counter(session_ids).items() if count > 1}


def _hear(heard: Heard, batch: _Batch) -> None:
    session_ids, at, log_time, recorded_at = batch
    if not heard.repeated.keys().isdisjoint(session_ids):
        told, session_ids, at = zip(session_ids, at, strict=True), [], []
        for session_id, moment in told:
            if session_id in heard.repeated:
                heard.repeated[session_id].append(Beat(moment, log_time, recorded_at))
            else:
                session_ids.append(session_id)
                at.append(moment)
    heard.session_ids.extend(session_ids)
    heard.at.extend(at)
    heard.log_times.extend([log_time] * len(at))
    heard.recorded_at.extend([recorded_at] * len(at))

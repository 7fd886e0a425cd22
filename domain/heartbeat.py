"""Heartbeats: facts received in bulk. One stored event holds a whole batch of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, NamedTuple, Self
from uuid import UUID

from domain.aggregate import Event

LARGEST_BATCH = 5000
"""Most heartbeats in one event, so that whoever reads a page of events knows what it may weigh."""


class Heartbeat(NamedTuple):
    """One sign of life of one session."""

    session_id: str
    at: datetime


class HeartbeatsReceived(Event, frozen=True, kw_only=True):
    """A batch of heartbeats was taken in; ``timestamp`` is the time of its earliest.

    Stored in columns, so that a heartbeat costs some forty bytes: the i-th heartbeat is that of
    ``session_ids[i]`` at ``timestamp + offsets_ms[i]``.

    The stream's id begins with the time of the earliest one, and the log keeps each month's streams together. Those of
    earlier releases are called ``heartbeats-<id>`` and ``watermark-<id>``, without a time.
    """

    TOPIC: ClassVar[str] = "session.heartbeats_received"
    session_ids: tuple[str, ...]
    offsets_ms: tuple[int, ...]

    @classmethod
    def of(cls, heartbeats: Sequence[Heartbeat], *, batch_id: UUID) -> Self:
        """Pack at least one heartbeat; see :func:`by_month` for which may go together.

        Times are cut to whole milliseconds, so that a heartbeat packed twice in different company is the same one.
        """
        first = min(heartbeat.at for heartbeat in heartbeats)
        earliest = first.replace(microsecond=first.microsecond // 1000 * 1000)
        millisecond = timedelta(milliseconds=1)
        return cls(
            originator_id=f"heartbeat_batch-{batch_id}",
            originator_version=1,
            timestamp=earliest,
            session_ids=tuple(heartbeat.session_id for heartbeat in heartbeats),
            offsets_ms=tuple((heartbeat.at - earliest) // millisecond for heartbeat in heartbeats),
        )

    def __iter__(self) -> Iterator[Heartbeat]:
        for session_id, offset in zip(self.session_ids, self.offsets_ms, strict=True):
            yield Heartbeat(session_id, self.timestamp + timedelta(milliseconds=offset))


def by_month(heartbeats: Sequence[Heartbeat]) -> list[Sequence[Heartbeat]]:
    """The heartbeats of each month (UTC) by themselves, in the order in which they were given.

    So that how long a heartbeat is kept is decided by its own month: one clock that is years behind must not take the
    heartbeats of others, which came in its company, with it.
    """
    if not heartbeats:
        return []
    moments = [heartbeat.at for heartbeat in heartbeats]
    if _month(min(moments)) == _month(max(moments)):
        return [heartbeats]
    months: dict[tuple[int, int], list[Heartbeat]] = {}
    for heartbeat in heartbeats:
        months.setdefault(_month(heartbeat.at), []).append(heartbeat)
    return list(months.values())


def _month(moment: datetime) -> tuple[int, int]:
    utc = moment.astimezone(UTC)
    return utc.year, utc.month


class WatermarkPassed(Event, frozen=True, kw_only=True):
    """Ingest met its own marker in the queue: everything sent before ``timestamp`` has been stored.

    This is log time. A lapse is judged against it and never against a clock, so a heartbeat that still waits in the
    broker cannot be missed: while ingest is down or behind, log time stands still and nobody dies.
    """

    TOPIC: ClassVar[str] = "ingest.watermark_passed"

    @classmethod
    def at(cls, sent_at: datetime, *, marker_id: UUID) -> Self:
        """The marker that was sent at ``sent_at`` came through."""
        return cls(originator_id=f"watermark_passed-{marker_id}", originator_version=1, timestamp=sent_at)

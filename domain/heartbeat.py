"""Heartbeats: facts received in bulk. One stored event holds a whole batch of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple, Self
from uuid import UUID

from domain.aggregate import Event

LARGEST_BATCH = 5000
"""Most heartbeats in one event, so that whoever reads a page of events knows what it may weigh."""

WATERMARK_PREFIX: Final = "watermark_passed-"


class Heartbeat(NamedTuple):
    """One sign of life of one session.

    Attributes:
        session_id: whose.
        at: when it occurred, and not later than we were told.
        ahead_ms: by how much later than we were told it says it occurred, in milliseconds; 0: it does not.
    """

    session_id: str
    at: datetime
    ahead_ms: int = 0


class HeartbeatsReceived(Event, frozen=True, kw_only=True):
    """A batch of heartbeats was taken in; ``timestamp`` is the time of its earliest.

    Stored in columns, so that a heartbeat costs some forty bytes: the i-th heartbeat is that of
    ``session_ids[i]`` at ``timestamp + offsets_ms[i]``. Those that say they occurred later than we were told are in
    ``ahead``, each with its number i and by how many milliseconds; they count as of when we were told.

    The stream's id begins with the time of the earliest one, and the log keeps each month's streams together. Those of
    earlier releases are called ``heartbeats-<id>`` and ``watermark-<id>``, without a time.
    """

    TOPIC: ClassVar[str] = "session.heartbeats_received"
    session_ids: tuple[str, ...]
    offsets_ms: tuple[int, ...]
    ahead: tuple[tuple[int, int], ...] = ()

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
            ahead=tuple((number, each.ahead_ms) for number, each in enumerate(heartbeats) if each.ahead_ms),
        )

    def __iter__(self) -> Iterator[Heartbeat]:
        ahead = dict(self.ahead)
        for number, (session_id, offset) in enumerate(zip(self.session_ids, self.offsets_ms, strict=True)):
            yield Heartbeat(session_id, self.timestamp + timedelta(milliseconds=offset), ahead.get(number, 0))


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


def watermark_stream(marker_id: UUID) -> str:
    """Stream of what ingest's marker of that id told."""
    return f"{WATERMARK_PREFIX}{marker_id}"


class WatermarkPassed(Event, frozen=True, kw_only=True):
    """Ingest met its own marker in the queue: everything sent before ``timestamp`` has been stored.

    This is log time. A lapse is judged against it and never against a clock, so a heartbeat that still waits in the
    broker cannot be missed: while ingest is down or behind, log time stands still and nobody dies. From version 2 on,
    log time that jumps is told before (:class:`domain.blindness.BlindWindowPassed`).
    """

    TOPIC: ClassVar[str] = "ingest.watermark_passed"
    class_version: ClassVar[int] = 2

    @staticmethod
    def upcast_v1_v2(data: dict[str, Any]) -> None:
        """Nothing is said otherwise."""

    @classmethod
    def at(cls, sent_at: datetime, *, marker_id: UUID) -> Self:
        """The marker that was sent at ``sent_at`` came through."""
        return cls(originator_id=watermark_stream(marker_id), originator_version=1, timestamp=sent_at)

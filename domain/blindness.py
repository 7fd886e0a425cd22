"""Blindness: stretches of log time in which heartbeats may have had no way to us, and what that does to patience."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, NamedTuple, Self
from uuid import UUID

from domain.aggregate import Event
from domain.heartbeat import watermark_stream


class Away(StrEnum):
    """What ingest knows to have been out of its reach, or down, while log time stood still."""

    INGEST = "ingest"
    """Ingest itself: it was not running, as far as the process that runs now can know."""
    BROKER = "broker"
    """The broker: services could not send, either."""
    DATABASE = "database"
    """The database: what services sent waited in the broker."""


class BlindWindow(NamedTuple):
    """A stretch of log time that passed unwatched, from its begin to its end."""

    since: datetime
    until: datetime


def patience_over(sign_at: datetime, patience: timedelta, blind: Iterable[BlindWindow]) -> datetime:
    """When somebody's patience is over who was last heard of at ``sign_at``.

    A blind window that begins before it is over puts it off: patience begins anew at the window's end, for until then
    nobody may have been able to send. One that begins later changes nothing, for before it everything was seen.

    Args:
        sign_at: the last sign of life.
        patience: how long silence is borne.
        blind: windows in any order; they may overlap.
    """
    over = sign_at + patience
    for window in sorted(blind):
        if window.until > sign_at and window.since <= over:
            over = max(over, window.until + patience)
    return over


class BlindWindowPassed(Event, frozen=True, kw_only=True):
    """Log time jumped to ``timestamp``, by the intervals of a few markers; nobody's silence counts in between.

    ``since`` is log time before the jump; None: it is not known, for the log is older than blind windows are. ``away``
    says what was out of reach, as far as ingest knows; nothing where it does not.
    """

    TOPIC: ClassVar[str] = "ingest.blind_window_passed"
    since: datetime | None
    away: tuple[Away, ...] = ()

    @classmethod
    def between(cls, since: datetime | None, until: datetime, *, marker_id: UUID, away: Iterable[Away] = ()) -> Self:
        """The window that a marker found; it is told in the marker's stream, before the marker itself."""
        return cls(
            originator_id=watermark_stream(marker_id),
            originator_version=2,
            timestamp=until,
            since=since,
            away=tuple(sorted(set(away))),
        )

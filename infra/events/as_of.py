"""As of an instant: the part of a story that had happened by then, or that was known by then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from infra.event_store import EventStore, Log, Recorded


class By(StrEnum):
    """Which of an event's two times counts."""

    OCCURRED = "occurred"
    """What was true at the instant, by all that is known now."""
    RECORDED = "recorded"
    """What was known at the instant."""


class AsOf(NamedTuple):
    """An instant to look back to.

    Attributes:
        instant: with a time zone; what bears this very time counts.
        by: the time that is compared with it.
    """

    instant: datetime
    by: By = By.OCCURRED

    def has(self, recorded: Recorded) -> bool:
        """Whether the event had happened, or was known, by then."""
        time = recorded.event.timestamp if self.by is By.OCCURRED else recorded.recorded_at
        return time <= self.instant

    def part(self, story: Iterable[Recorded]) -> list[Recorded]:
        """The events that had happened, or were known, by then, in the order in which they are given."""
        return [recorded for recorded in story if self.has(recorded)]

    def __str__(self) -> str:
        return f"{self.instant:%Y-%m-%d %H:%M:%S.%f %Z} by the time of {_TIMES[self.by]}"


def story_as_of(store: EventStore, log: Log, stream_id: str, when: AsOf | None) -> list[Recorded]:
    """The events of one stream that count at an instant, in order of version.

    What is skipped does not count. By the time of occurrence all skips are known, whenever they were recorded: a skip
    says that the event was never true. By the time of recording a skip is known from when it was recorded on.

    Args:
        store: where the log is read.
        log: where the stream is.
        stream_id: which.
        when: the instant; None: all that is known.

    Raises:
        DatabaseUnreachableError: the database cannot serve.
        EventUnreadableError: a newer version of the code wrote one of its events, and it is not skipped.
    """
    if when is None:
        return store.load_counted(log, stream_id)
    known_by = when.instant if when.by is By.RECORDED else None
    return when.part(store.load_counted(log, stream_id, known_by=known_by))


_TIMES: Final = {By.OCCURRED: "occurrence", By.RECORDED: "recording"}

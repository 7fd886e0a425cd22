"""Fan-ins: many runs, and what is asked for once enough of them have succeeded (Celery: a chord and its body).

Completion is counted in the log: every member's end is an event there, whatever became of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, NamedTuple

import msgspec

from domain.aggregate import Event
from domain.fan_in_body import check_body
from domain.message_data import Id, MessageData

MEMBERS_AT_MOST: Final = 10_000
DECLARED: Final = 1
SETTLED: Final = 2
"""Versions of a fan-in's two events: it is settled once, whoever settles it."""


class FanInDeclared(Event, frozen=True, kw_only=True):
    """Somebody has sent, or is about to send, the members.

    Attributes:
        members: of each the runs of its links, in order; the last one's value counts. Mostly one run.
        body: Celery's signature of what is asked for then.
        least: how many members have to succeed; None: all.
    """

    TOPIC: ClassVar[str] = "fan_in.declared"
    members: tuple[tuple[str, ...], ...]
    body: dict[str, Any]
    least: int | None = None


class FanInCompleted(Event, frozen=True, kw_only=True):
    """Enough members have succeeded; the body was asked for with the values of those that had by then."""

    TOPIC: ClassVar[str] = "fan_in.completed"
    succeeded: int
    failed: int
    run_id: str


class FanInFailed(Event, frozen=True, kw_only=True):
    """So many members have ended badly that enough cannot succeed any more, or a value cannot be handed on."""

    TOPIC: ClassVar[str] = "fan_in.failed"
    succeeded: int
    failed: int
    reason: str


class FanInDeclaredData(MessageData, frozen=True, kw_only=True):
    """A client is about to send the members of a chord. Told by Ledgerq's result backend."""

    fan_in_id: Id
    members: Annotated[
        list[Annotated[list[Id], msgspec.Meta(min_length=1, max_length=1000)]],
        msgspec.Meta(
            min_length=1,
            max_length=MEMBERS_AT_MOST,
            description="of each member the runs of its links, in order; mostly one",
        ),
    ]
    body: Annotated[dict[str, Any], msgspec.Meta(description="Celery's signature of the body, frozen")]
    least: (
        Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_AT_MOST, description="members that have to succeed; else all")]
        | None
    ) = None

    def __post_init__(self) -> None:
        try:
            check_body(self.body)
        except ValueError as error:
            raise ValueError(f"body: {error}") from error


class Standing(StrEnum):
    """Where a fan-in is."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"


class Count(NamedTuple):
    """Members of a fan-in by what became of them."""

    total: int
    succeeded: int
    failed: int


def standing(count: Count, least: int | None) -> Standing:
    """What follows from the members' ends. More ends never turn one settled standing into the other.

    Args:
        count: the members.
        least: how many have to succeed; None: all. More than there are means all.
    """
    wanted = count.total if least is None else min(least, count.total)
    if count.succeeded >= wanted:
        return Standing.COMPLETED
    if count.total - count.failed < wanted:
        return Standing.FAILED
    return Standing.OPEN


def fan_in_stream(fan_in_id: str) -> str:
    """The stream of a fan-in; its id is that of Celery's group."""
    return f"fan_in-{fan_in_id}"

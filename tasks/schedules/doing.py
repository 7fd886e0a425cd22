"""Doing something about a schedule, whoever does it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from domain.aggregate import Event
from domain.cause import Cause
from domain.schedule import Schedule
from infra.event_store import EventStore, Log, NewEvent, caused
from tasks.schedules.reading import folded, story

Verb = Callable[[Schedule, datetime], Event]
"""What is done: of the schedule as it is, and the present, the event."""


class Done(NamedTuple):
    """What was recorded, and its position in the licensing log."""

    new: NewEvent
    position: int


def do(store: EventStore, name: str, verb: Verb, *, actor: str, at: datetime) -> Done:
    """Append what ``verb`` makes of the schedule.

    Raises:
        Refusal: it cannot be done to the schedule as it is.
        LostRaceError: somebody did something about it at the same moment.
        ValueError: what is wanted makes no sense.
    """
    event = verb(folded(name, story(store, name)), at)
    [new] = caused([event], Cause(id=uuid4(), at=at, actor=actor))
    [position] = store.append(Log.LICENSING, [new])
    return Done(new, position)

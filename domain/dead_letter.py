"""Dead letters: what people decide about them, and the batches in which they have them replayed.

A decision is a fact in the stream of the run that died. Decisions of one letter are numbered, so that two people who
decide at the same moment meet in the same place and one of them is told that he came second.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

import msgspec

from domain.aggregate import Event
from domain.task_run import TaskEvent

SLOT_DECISIONS: Final = 2**32
"""From here on the places of decisions about a run's dead letter, above those of its copies."""
LAST_DECISION: Final = 1_000_000
GENERATION_LIMIT: Final = 3
"""How many replays deep a filter still finds a letter; one that died as often is replayed only by name."""

Generation = Annotated[int, msgspec.Meta(ge=0, le=LAST_DECISION)]


class LetterState(StrEnum):
    """What has been decided about a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class LetterDecision(TaskEvent, frozen=True, kw_only=True):
    """A decision about a run's dead letter; ``number`` counts them, from 1, and the last one holds."""

    number: Annotated[int, msgspec.Meta(ge=1, le=LAST_DECISION)]
    reason: str

    def slot(self) -> int:
        """A place for each decision."""
        return SLOT_DECISIONS + self.number


class LetterReplayed(LetterDecision, frozen=True, kw_only=True):
    """Somebody had the dead letter's task asked for again, as the run ``new_run_id`` of the batch ``replay_id``.

    ``generation`` says how many replays lead to the new run; ``patch`` is what was changed about its arguments
    (JSON Patch, RFC 6902, over ``{"args": …, "kwargs": …}``; a ``test`` says what stood there before).
    """

    TOPIC: ClassVar[str] = "task.letter_replayed"
    replay_id: str
    new_run_id: str
    generation: Generation
    priority: int | None = None
    patch: tuple[dict[str, Any], ...] = ()


class LetterDiscarded(LetterDecision, frozen=True, kw_only=True):
    """Somebody decided that nothing more is to be done about the dead letter."""

    TOPIC: ClassVar[str] = "task.letter_discarded"


class ReplayRequested(Event, frozen=True, kw_only=True):
    """Somebody asked for dead letters to be replayed: which (``run_ids``), how they were chosen, and why.

    ``edit`` is what is to be changed about every one's arguments. Who asked is in the metadata (``actor``).
    """

    TOPIC: ClassVar[str] = "replay.requested"
    reason: str
    chosen_by: dict[str, Any]
    run_ids: tuple[str, ...]
    is_again: bool = False
    per_second: float | None = None
    priority: int | None = None
    edit: dict[str, Any] = msgspec.field(default_factory=dict)


class ReplayFinished(Event, frozen=True, kw_only=True):
    """Every letter of the batch has been dealt with: ``replayed`` of them, and those in ``left`` not, each with why."""

    TOPIC: ClassVar[str] = "replay.finished"
    replayed: int
    left: dict[str, str]


def replay_stream(replay_id: UUID | str) -> str:
    """Stream of the batch ``replay_id``."""
    return f"replay-{replay_id}"

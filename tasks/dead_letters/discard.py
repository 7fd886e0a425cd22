"""Discarding dead letters: recorded, with who and why; the letters themselves stay in the log."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from domain.cause import Cause
from domain.dead_letter import LetterDiscarded, LetterState
from domain.task_run import run_stream
from infra.event_store import EventStore, Log, LostRaceError, NewEvent
from tasks.dead_letters.batch import placed
from tasks.dead_letters.letter import Letter, load_letters
from tasks.dead_letters.replay import Tally

COMMAND_NAMESPACE: Final = UUID("0192d7a5-a2f0-7d11-9c3e-646973636172")
"""Namespace (RFC 9562, name-based UUIDs) of ids of decisions to discard."""


def discard_letters(
    store: EventStore, run_ids: Collection[str], *, reason: str, actor: str, clock: Callable[[], datetime]
) -> Tally:
    """Record of each open letter that nothing more is to be done about it.

    Returns:
        the letters that are discarded now, and the others.
    """
    done: dict[str, str] = {}
    left: dict[str, str] = {}
    for letter in load_letters(store, run_ids):
        if letter.state is not LetterState.OPEN:
            left[letter.run_id] = f"it is {letter.state.value} already"
            continue
        try:
            store.append(Log.TASKS, [_decision(letter, reason=reason, actor=actor, at=clock())])
        except LostRaceError:
            left[letter.run_id] = "somebody else decided on it at the same moment"
        else:
            done[letter.run_id] = letter.task
    left.update(dict.fromkeys({*run_ids} - {*done} - {*left}, "the log has no dead letter of it"))
    return Tally(done, left)


def _decision(letter: Letter, *, reason: str, actor: str, at: datetime) -> NewEvent:
    number = len(letter.decisions) + 1
    decision = LetterDiscarded(
        originator_id=run_stream(letter.run_id),
        originator_version=0,
        timestamp=at,
        task=letter.task,
        number=number,
        reason=reason,
    )
    known = letter.fact.metadata
    cause = Cause(
        id=uuid5(COMMAND_NAMESPACE, f"{letter.run_id}/{number}/{actor}/{at.isoformat()}"),
        at=at,
        actor=actor,
        correlation_id=known.get("correlation_id") or letter.run_id,
        causation_id=str(letter.fact.event_id),
        tenant=known.get("tenant"),
    )
    return placed(decision, cause)

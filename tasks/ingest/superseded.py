"""Superseded attempts: an end that is reported of an attempt after the run has gone on without it.

An attempt is over once it has an outcome (another one was scheduled) or once anything is told of a later attempt.
What its worker reports afterwards (it was paused, or cut off from the broker, and its message went to another) must
not end the run: the attempt that counts is another.

What is certain is one end per run, by the slot. Which of two reports came first is decided here, by what is committed
when a batch is stored. Where two ingests store an end of attempt 1 and the record that attempt 2 follows at the same
moment, neither sees the other: the end then counts as the first, and what attempt 2 comes to is ignored. Either way
the run has its one end: an end is only ever passed over for an attempt that has one coming.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from domain.task_run import SLOT_END, Phase, attempt_slot
from infra.event_store import Claim, Log, Transaction

if TYPE_CHECKING:
    from tasks.ingest.runs import Decided


def superseded(transaction: Transaction, decided: Sequence[Decided]) -> set[UUID]:
    """Ids of the ends among ``decided`` (in order of arrival) that come from superseded attempts."""
    ends = [each for each in decided if each.is_end]
    overtaken = transaction.overtaken(Log.TASKS, [_claim(each) for each in ends])
    in_company = _overtaken_in_company(decided) if overtaken else set()
    return {event_id for event_id, is_late in overtaken.items() if is_late or event_id in in_company}


def _claim(end: Decided) -> Claim:
    over, beyond = _bounds(end.attempt)
    return Claim(end.event.originator_id, end.event_id, over, beyond, SLOT_END)


def _bounds(attempt: int) -> tuple[int, int]:
    """The place of the attempt's outcome, and the first place of the next attempt."""
    return attempt_slot(attempt, Phase.OUTCOME), attempt_slot(attempt + 1, Phase.RECEIVED)


def _overtaken_in_company(decided: Sequence[Decided]) -> set[UUID]:
    """Ends that come after word of a later attempt in the same batch."""
    furthest: dict[str, int] = {}
    late = set()
    for each in decided:
        stream, version = each.event.originator_id, each.event.originator_version
        if each.is_end and furthest.get(stream, 0) >= attempt_slot(each.attempt, Phase.OUTCOME):
            late.add(each.event_id)
        elif version < SLOT_END:
            furthest[stream] = max(furthest.get(stream, 0), version)
    return late

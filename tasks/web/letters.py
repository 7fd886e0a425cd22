"""Dead letters over HTTP: show, replay, discard."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import msgspec

from domain.dead_letter import ReplayRequested, replay_stream
from domain.task_run import run_stream
from infra.event_store import Log
from infra.web.operation import Call, Operation
from infra.web.problem import Problem
from infra.web.role import Role
from projections.queries import LetterFilter
from tasks.dead_letters.discard import discard_letters
from tasks.dead_letters.edit import Edit
from tasks.dead_letters.letter import load_letters
from tasks.dead_letters.replay import Replayer, Tally, request_replay
from tasks.dead_letters.showing import letter_values
from tasks.web.recorded import Reason, now

AT_ONCE: Final = 100
"""Letters of one request; `ledgerq dlq` takes more."""
RunId = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+$")]


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Letters that something is to be done about."""

    run_ids: Annotated[list[RunId], msgspec.Meta(min_length=1, max_length=AT_ONCE)]
    reason: Reason


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Letters that are to be asked for again."""

    run_ids: Annotated[list[RunId], msgspec.Meta(min_length=1, max_length=AT_ONCE)]
    reason: Reason
    priority: Annotated[int, msgspec.Meta(ge=0, le=10)] | None = None
    is_again: bool = False
    replay_id: UUID | None = None


class Treated(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about each letter (its new run, or its task), and why nothing about the others.

    ``position`` is where the log `tasks` has all of it; null where there is nothing.
    """

    done: dict[str, str]
    left: dict[str, str]
    replay_id: UUID | None = None
    position: int | None = None


def show(call: Call) -> dict[str, Any]:
    """One, as the log has it, but for secrets."""
    letter = next(load_letters(call.desk.store, [call.path["run_id"]]), None)
    if letter is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"the log has no dead letter of {call.path['run_id']}")
    told: dict[str, Any] = call.desk.redact.value(letter_values(letter))
    return told


def replay(call: Call) -> Treated:
    """A new run for each letter, caused by the dead one; the same ``replay_id`` twice counts once."""
    wanted: Replay = call.body
    replay_id = wanted.replay_id or uuid4()
    if not call.desk.store.load(Log.TASKS, [replay_stream(replay_id)]):
        asked = ReplayRequested(
            originator_id=replay_stream(replay_id),
            originator_version=1,
            timestamp=now(),
            reason=wanted.reason,
            chosen_by=LetterFilter(run_ids=tuple(wanted.run_ids), states=()).as_values(),
            run_ids=tuple(wanted.run_ids),
            is_again=wanted.is_again,
            per_second=None,
            priority=wanted.priority,
            edit=Edit().as_values(),
        )
        request_replay(call.desk.store, asked, actor=call.bearer.actor)
    tally = Replayer(call.desk.store, clock=now).carry_out(replay_id)
    return _treated(call, tally, replay_id)


def discard(call: Call) -> Treated:
    """Nothing more is to be done about these."""
    wanted: Chosen = call.body
    ids = list(dict.fromkeys(wanted.run_ids))
    tally = discard_letters(call.desk.store, ids, reason=wanted.reason, actor=call.bearer.actor, clock=now)
    return _treated(call, tally, None)


def _treated(call: Call, tally: Tally, replay_id: UUID | None) -> Treated:
    streams = [run_stream(run_id) for run_id in tally.done]
    if replay_id is not None:
        streams.append(replay_stream(replay_id))
    told = call.desk.store.load_recorded(Log.TASKS, streams)
    position = max((each.position for events in told.values() for each in events), default=None)
    return Treated(done=tally.done, left=tally.left, replay_id=replay_id, position=position)


LETTERS: Final = (
    Operation(
        method="GET",
        path="/dead-letters/{run_id}",
        name="showDeadLetter",
        summary="A dead letter with its arguments, its error and what was decided about it.",
        role=Role.VIEWER,
        handle=show,
        answer=dict[str, Any],
    ),
    Operation(
        method="POST",
        path="/dead-letters/replays",
        name="replayDeadLetters",
        summary="Ask for the tasks of dead letters again.",
        role=Role.OPERATOR,
        handle=replay,
        body=Replay,
        answer=Treated,
    ),
    Operation(
        method="POST",
        path="/dead-letters/discards",
        name="discardDeadLetters",
        summary="Decide that nothing more is to be done about dead letters.",
        role=Role.OPERATOR,
        handle=discard,
        body=Chosen,
        answer=Treated,
    ),
)

"""The list of dead letters over HTTP, the oldest first."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec

from domain.dead_letter import LetterState
from infra.event_store import Log
from infra.web.operation import Call, Operation
from infra.web.role import Role
from projections.dead_letters import DeadLetters
from projections.queries import LetterFilter, dead_letters
from projections.web.parameters import Moment, Text
from projections.web.position import Position, await_position


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which letters."""

    task: Text | None = None
    error: Text | None = None
    queue: Text | None = None
    license_id: Text | None = None
    state: LetterState | None = LetterState.OPEN
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    min_position: Position | None = None


def list_(call: Call) -> list[dict[str, Any]]:
    """Those that the read model has; with a position, once it has come there."""
    asked: Wanted = call.query
    which = LetterFilter(
        task=asked.task,
        error=asked.error,
        queue=asked.queue,
        license_id=asked.license_id,
        since=asked.since,
        until=asked.until,
        states=() if asked.state is None else (asked.state.value,),
    )
    with call.desk.reading() as connection:
        await_position(connection, DeadLetters.name, Log.TASKS, asked.min_position)
        rows = [row._asdict() for row in dead_letters(connection, which, limit=asked.limit)]
    return [{**row, "error": call.desk.redact.value(row["error"])} for row in rows]


LETTERS: Final = (
    Operation(
        method="GET",
        path="/dead-letters",
        name="listDeadLetters",
        summary="Dead letters, the oldest first.",
        role=Role.VIEWER,
        handle=list_,
        query=Wanted,
        answer=list[dict[str, Any]],
        problems=(HTTPStatus.CONFLICT,),
    ),
)

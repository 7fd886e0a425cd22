"""The state of one session or license over HTTP, now or as of an instant, computed from the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec

from infra.event_store import EventStore, EventUnreadableError
from infra.events.as_of import AsOf, By
from infra.web.operation import Call, Operation
from infra.web.problem import Problem
from infra.web.role import Role
from projections.as_of import license_as_of, session_as_of

Ask = Callable[[EventStore, str, AsOf | None], msgspec.Struct | None]


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The instant that is looked back to; without it the present."""

    as_of: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    by: By | None = None


def _handler(kind: str, parameter: str, ask: Ask) -> Callable[[Call], dict[str, Any]]:
    def show(call: Call) -> dict[str, Any]:
        thing, when = call.path[parameter], _when(call.query)
        try:
            row = ask(call.desk.store, thing, when)
        except EventUnreadableError as error:
            raise Problem(HTTPStatus.CONFLICT, str(error), code="event_unreadable") from error
        if row is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"the log knows no {kind} {thing}{'' if when is None else ' by then'}")
        return msgspec.structs.asdict(row)

    return show


def _when(asked: When) -> AsOf | None:
    if asked.as_of is None:
        if asked.by is not None:
            raise Problem(HTTPStatus.BAD_REQUEST, "query: `by` goes with `as_of`")
        return None
    return AsOf(asked.as_of, asked.by or By.OCCURRED)


def _operation(path: str, name: str, summary: str, handle: Callable[[Call], dict[str, Any]]) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        role=Role.VIEWER,
        handle=handle,
        query=When,
        answer=dict[str, Any],
        problems=(HTTPStatus.CONFLICT,),
    )


STATES: Final = (
    _operation(
        "/sessions/{session_id}",
        "showSession",
        "A session's state, now or as of an instant, from the log.",
        _handler("session", "session_id", session_as_of),
    ),
    _operation(
        "/licenses/{license_id}",
        "showLicense",
        "A license's state, now or as of an instant, from the log.",
        _handler("license", "license_id", license_as_of),
    ),
)

"""Reading one's own writes: an answer waits until the read model has come to a position of the log."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import psycopg

from infra.event_store import Log
from infra.web.problem import Problem
from projections.catalog import PROJECTIONS
from projections.lag import StillBehindError, wait_for

WITHIN: Final = timedelta(seconds=2)
Position = Annotated[
    int,
    msgspec.Meta(ge=0, le=2**63 - 1, description="answer once the read model has come to this position of its log"),
]


def await_position(connection: psycopg.Connection[Any], projection: str, log: Log, position: int | None) -> None:
    """Return once the projection has come there.

    Raises:
        Problem: 409, it has not in time.
    """
    if position is None:
        return
    try:
        wait_for(connection, PROJECTIONS[projection], log, position, within=WITHIN)
    except StillBehindError as error:
        headers = {"retry-after": "1"}
        raise Problem(HTTPStatus.CONFLICT, str(error), code="still_behind", headers=headers) from error

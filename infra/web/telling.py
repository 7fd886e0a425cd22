"""Telling: request ids, the headers of answers, problems as answers, and which problem an error is."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from domain.refusal import Refusal
from infra.broker.errors import BrokerError
from infra.database import DatabaseUnreachableError
from infra.web.problem import MEDIA_TYPE, Problem

REQUEST_ID: Final = "x-request-id"
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'",
    "x-content-type-options": "nosniff",
}
_REQUEST_ID_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.web")


def request_id_of(request: Request) -> str:
    """What the asker calls its request, if that can be such a name; else one of our own."""
    given = request.headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID_FORM.fullmatch(given) else str(uuid4())


def told_problem(problem: Problem, request_id: str) -> Response:
    """A problem as an answer."""
    body = msgspec.json.encode(problem.document(request_id))
    headers = {**HEADERS, **problem.headers, REQUEST_ID: request_id}
    return Response(body, problem.status.value, headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to whoever asked; a fault of ours is in the log then."""
    match error:
        case Problem():
            return error
        case Refusal():
            return Problem(HTTPStatus.CONFLICT, str(error), code=error.code)
        case DatabaseUnreachableError() | BrokerError():
            _log.warning("cannot serve", reason=str(error))
            missing = "the database" if isinstance(error, DatabaseUnreachableError) else "the broker"
            said = f"{missing} cannot serve just now; ask again"
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"retry-after": "1"})
        case _:
            _log.error("a fault of ours", exc_info=error)
            return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; it is in the log")

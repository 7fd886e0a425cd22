"""``POST /hooks/NAME``: who calls shows by a signature that it may; there are no tokens here."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.database import DatabaseUnreachableError
from infra.logs import about
from infra.web.app import REQUEST_ID, request_id_of, told_problem
from infra.web.desk import Desk
from infra.web.problem import Problem
from infra.webhooks.secrets import WebhookKeyMissingError
from tasks.webhooks.receiving import BODY_LIMIT_BYTES, BUSY_AFTER_SECONDS, Call, CallRefusedError, Taken, receive

_LATER: Final = {"retry-after": str(BUSY_AFTER_SECONDS)}
_LONGEST_NUMBER: Final = 20
"""Digits that are read as a number at once."""

log = structlog.get_logger(__name__)


def routes(desk: Desk) -> list[Route]:
    """The one route of hooks."""

    async def call_hook(request: Request) -> Response:
        request_id = request_id_of(request)
        with about(lambda: {"request_id": request_id}):
            try:
                taken = await _taken(request, desk)
            except Problem as problem:
                log.warning("a call of a hook is refused", status=problem.status.value, reason=problem.detail)
                return told_problem(problem, request_id)
        told = {"run_id": str(taken.run_id), "position": taken.position, "repeat": taken.is_repeat}
        return JSONResponse(told, HTTPStatus.ACCEPTED, {"cache-control": "no-store", REQUEST_ID: request_id})

    return [Route("/hooks/{name}", call_hook, methods=["POST"])]


async def _taken(request: Request, desk: Desk) -> Taken:
    """What the call has asked for, once that is stored.

    Raises:
        Problem: it asks for nothing.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    call = Call(request.path_params["name"], headers, await _body(request))
    try:
        return await run_in_threadpool(receive, call, desk.store, desk.settings, now=datetime.now(UTC))
    except CallRefusedError as refused:
        later = _LATER if refused.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        raise Problem(HTTPStatus(refused.status), str(refused), headers=later) from refused
    except WebhookKeyMissingError as error:
        log.error("no hook can be called: LEDGERQ_WEBHOOK_KEY is not set")  # noqa: TRY400  there is nothing to trace
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no calls are taken at present", headers=_LATER) from error
    except DatabaseUnreachableError as error:
        log.error("a call of a hook cannot be stored", reason=str(error))  # noqa: TRY400  as above
        said = "the database cannot serve just now; call again"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, said, headers=_LATER) from error
    except Exception as error:
        log.exception("a fault of ours")
        raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; it is in the log") from error


async def _body(request: Request) -> bytes:
    """The body, not read further than it is taken.

    Raises:
        Problem: it is too long, or the caller hung up.
    """
    said = f"the body is longer than {BODY_LIMIT_BYTES:,} bytes, the most that is taken"
    told = request.headers.get("content-length", "")
    if told.isdecimal() and len(told) < _LONGEST_NUMBER and int(told) > BODY_LIMIT_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_LIMIT_BYTES:
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the caller hung up") from None
    return bytes(body)

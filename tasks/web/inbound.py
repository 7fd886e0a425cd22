"""``POST /hooks/NAME``: who calls shows by a signature that it may; there are no tokens here."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.logs import about
from infra.web.client import client_of
from infra.web.desk import Desk
from infra.web.operation import Beside, Signed
from infra.web.problem import Problem
from infra.web.reading import JSON, bytes_of
from infra.web.telling import HEADERS, REQUEST_ID, problem_of, request_id_of, told_problem
from infra.webhooks.secrets import WebhookKeyMissingError
from tasks.webhooks.receiving import BODY_LIMIT_BYTES, BUSY_AFTER_SECONDS, Call, CallRefusedError, receive

PATH: Final = "/hooks/{name}"
_LATER: Final = {"retry-after": str(BUSY_AFTER_SECONDS)}
_OURS: Final = HTTPStatus.INTERNAL_SERVER_ERROR
"""From here on it is not the caller who is to blame."""

log = structlog.get_logger(__name__)


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """The run that the call has asked for, and where the log ``tasks`` has it; ``repeat``: an earlier call had."""

    run_id: UUID
    position: int
    repeat: bool


def _route(desk: Desk) -> Route:
    async def call_hook(request: Request) -> Response:
        request_id = request_id_of(request)
        with about(lambda: {"request_id": request_id}):
            try:
                called = await _called(request, desk)
            except Problem as problem:
                status, client = problem.status.value, client_of(request)
                log.warning("a call of a hook is refused", status=status, reason=problem.detail, client=client)
                return told_problem(problem, request_id)
        headers = {**HEADERS, REQUEST_ID: request_id}
        return Response(msgspec.json.encode(called), HTTPStatus.ACCEPTED, headers, JSON)

    return Route(PATH, call_hook, methods=["POST"])


async def _called(request: Request, desk: Desk) -> Called:
    """What the call has asked for, once that is stored; a refusal counts against where the call comes from.

    Raises:
        Problem: it asks for nothing.
    """
    client = client_of(request)
    desk.admission.caller(client)
    try:
        body = await bytes_of(request, what="the body of a call", limit_bytes=BODY_LIMIT_BYTES)
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.path_params["name"], headers, body)
        taken = await run_in_threadpool(receive, call, desk.store, desk.settings, now=datetime.now(UTC))
    except Exception as error:
        problem = _problem(error)
        if problem.status < _OURS:
            desk.admission.stranger(client)
        raise problem from error
    return Called(run_id=taken.run_id, position=taken.position, repeat=taken.is_repeat)


def _problem(error: Exception) -> Problem:
    match error:
        case CallRefusedError(status=status):
            return Problem(HTTPStatus(status), str(error), headers=_LATER if status >= _OURS else {})
        case WebhookKeyMissingError():
            log.error("no hook can be called: LEDGERQ_WEBHOOK_KEY is not set")
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no calls are taken at present", headers=_LATER)
        case _:
            return problem_of(error)


HOOKS: Final = (
    Beside(
        Signed(
            method="POST",
            path=PATH,
            name="callHook",
            summary="Ask for the task of a hook; the same webhook-id asks for the same run.",
            answer=Called,
            status=HTTPStatus.ACCEPTED,
            media={JSON: Any},
            signature_headers={
                "webhook-id": "names what happened; the same at every try",
                "webhook-timestamp": "when this try was signed: seconds since 1970, at most 5 minutes from our time",
                "webhook-signature": "v1, and base64 of HMAC-SHA256 over id, timestamp and body, joined by full stops",
            },
            for_whom="For whoever knows the hook's secret and signs with it (Standard Webhooks); there is no token.",
            problems=(HTTPStatus.CONFLICT,),
        ),
        _route,
    ),
)

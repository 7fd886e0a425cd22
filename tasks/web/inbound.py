"""``POST /hooks/NAME``: who calls shows by a signature that it may; there are no tokens here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.database import DatabaseUnreachableError
from infra.webhooks.secrets import WebhookKeyMissingError
from tasks.webhooks.receiving import BODY_LIMIT_BYTES, BUSY_AFTER_SECONDS, Call, CallRefusedError, Taken, receive
from tasks.wiring import wiring

PROBLEM: Final = "application/problem+json"
"""How a refusal is told (RFC 9457)."""
_TITLES: Final = {
    400: "Stale",
    401: "Not signed",
    404: "Unknown hook",
    409: "Conflict",
    413: "Too large",
    422: "Not taken",
    503: "Busy",
}

log = structlog.get_logger(__name__)


async def call_hook(request: Request) -> Response:
    """Check a call and accept the run that it asks for; 202 once that is stored, again and again for the same id."""
    name = request.path_params["name"]
    try:
        body = await _body(request)
        headers = {key.lower(): value for key, value in request.headers.items()}
        taken = await run_in_threadpool(_receive, Call(name, headers, body))
    except CallRefusedError as refused:
        log.warning("a call of a hook is refused", status=refused.status, reason=str(refused))
        return _problem(refused.status, str(refused))
    except WebhookKeyMissingError:
        log.error("a hook cannot be called: LEDGERQ_WEBHOOK_KEY is not set")  # noqa: TRY400  there is nothing to trace
        return _problem(503, "no calls are taken at the moment")
    except DatabaseUnreachableError as error:
        log.error("a call of a hook cannot be stored", reason=str(error))  # noqa: TRY400  as above
        return _problem(503, "nothing can be stored at the moment; call again")
    told = {"run_id": str(taken.run_id), "position": taken.position, "repeat": taken.is_repeat}
    return JSONResponse(told, 202, headers={"cache-control": "no-store"})


async def _body(request: Request) -> bytes:
    """The body, not read further than it is taken.

    Raises:
        CallRefusedError: it is too long, or the caller hung up.
    """
    too_long = CallRefusedError(413, f"the body is longer than {BODY_LIMIT_BYTES:,} bytes, the most that is taken")
    said = request.headers.get("content-length", "")
    if said.isdecimal() and len(said) < 20 and int(said) > BODY_LIMIT_BYTES:  # noqa: PLR2004  what int() takes at once
        raise too_long
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_LIMIT_BYTES:
                raise too_long
    except ClientDisconnect:
        raise CallRefusedError(400, "the caller hung up") from None
    return bytes(body)


def _receive(call: Call) -> Taken:
    wired = wiring()
    return receive(call, wired.store, wired.settings, now=datetime.now(UTC))


def _problem(status: int, detail: str) -> JSONResponse:
    told: dict[str, Any] = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail}
    headers = {"cache-control": "no-store"}
    if status == 503:  # noqa: PLR2004  HTTP's own number
        headers["retry-after"] = str(BUSY_AFTER_SECONDS)
    return JSONResponse(told, status, headers=headers, media_type=PROBLEM)


ROUTES: Final = (Route("/hooks/{name}", call_hook, methods=["POST"]),)
"""What this module adds to the HTTP face."""

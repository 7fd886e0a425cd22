"""The ASGI application: each request gets an id, is let in or not, checked against its operation, and answered."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from domain.refusal import Refusal
from infra.broker.errors import BrokerError
from infra.database import DatabaseUnreachableError
from infra.logs import about
from infra.web.desk import Desk
from infra.web.openapi import document
from infra.web.operation import Answer, Call, Operation
from infra.web.pace import Pace
from infra.web.problem import MEDIA_TYPE, Problem
from infra.web.token import Bearer, Doorkeeper

REQUEST_ID: Final = "x-request-id"
_REQUEST_ID_FORM: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LONGEST_ID: Final = 255
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'",
    "x-content-type-options": "nosniff",
}
_JSON: Final = "application/json"

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.web")


def application(desk: Desk, operations: Sequence[Operation], *, others: Sequence[BaseRoute] = ()) -> Starlette:
    """The app.

    Args:
        desk: what operations work with.
        operations: what can be asked for.
        others: routes that are served beside.
    """
    door = _Door(desk)
    told = msgspec.json.encode(document(operations))

    async def openapi(_request: Request) -> Response:
        return Response(told, media_type=_JSON, headers=_HEADERS)

    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    # Fixed paths first: of `/x/{id}` and `/x/y` the first that fits answers, also about its methods.
    paths = sorted(by_path, key=lambda path: ("{" in path, path))
    routes = [Route(path, door.of(by_path[path]), methods=[*by_path[path]]) for path in paths]
    return Starlette(
        routes=[Route("/openapi.json", openapi, methods=["GET"]), *routes, *others],
        exception_handlers={HTTPException: _unrouted},
    )


class _Door:
    """Lets requests in, and says of each what became of it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._keeper = Doorkeeper(desk.pool)
        self._pace = Pace(desk.settings.web_requests_per_second)

    def of(self, methods: Mapping[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of the operations on one path."""

        async def endpoint(request: Request) -> Response:
            return await self._answer(request, methods["GET" if request.method == "HEAD" else request.method])

        return endpoint

    async def _answer(self, request: Request, operation: Operation) -> Response:
        began, request_id = time.monotonic(), request_id_of(request)
        with about(lambda: {"request_id": request_id}):
            try:
                response = await self._handled(request, operation)
            except Problem as problem:
                response = _told(problem, request_id)
            took = round(time.monotonic() - began, 6)
            _log.info("answered", operation=operation.name, status=response.status_code, seconds=took)
        response.headers[REQUEST_ID] = request_id
        return response

    async def _handled(self, request: Request, operation: Operation) -> Response:
        """The answer; what goes wrong is a problem.

        Raises:
            Problem: whatever it was.
        """
        try:
            bearer = await run_in_threadpool(self._bearer, request, operation)
            path = {name: _id(name, value) for name, value in request.path_params.items()}
            query = _query(request, operation)
            body = await self._body(request, operation)
            call = Call(self._desk, bearer, path, query, body, request.headers)
            given = await run_in_threadpool(operation.handle, call)
        except Problem:
            raise
        except Refusal as refusal:
            raise Problem(HTTPStatus.CONFLICT, str(refusal), code=refusal.code) from refusal
        except (DatabaseUnreachableError, BrokerError) as error:
            _log.warning("cannot serve", reason=str(error))
            missing = "the database" if isinstance(error, DatabaseUnreachableError) else "the broker"
            said = f"{missing} cannot serve just now; ask again"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"retry-after": "1"}) from error
        except Exception as error:
            _log.exception("a fault of ours")
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; it is in the log") from error
        answer = given if isinstance(given, Answer) else Answer(given)
        status = (answer.status or operation.status).value
        return Response(_encoded(answer.value), status, {**_HEADERS, **answer.headers}, _JSON)

    def _bearer(self, request: Request, operation: Operation) -> Bearer:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        bearer = self._keeper.bearer(text.strip(), now=datetime.now(UTC)) if scheme.lower() == "bearer" else None
        if bearer is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "wanted is the header Authorization: Bearer TOKEN, with one that `ledgerq token add` has made",
                headers={"www-authenticate": "Bearer"},
            )
        if wait := self._pace.wait_seconds(bearer.name):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"token {bearer.name} may ask {self._desk.settings.web_requests_per_second:g} times a second",
                headers={"retry-after": str(int(wait) + 1)},
            )
        if not bearer.role.may(operation.role):
            wanted = operation.role.value
            raise Problem(HTTPStatus.FORBIDDEN, f"token {bearer.name} is of role {bearer.role}; wanted is {wanted}")
        return bearer

    async def _body(self, request: Request, operation: Operation) -> Any:
        if operation.body is None and not operation.media:
            return None
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        allowed = [*operation.media] if operation.media else [_JSON]
        if media not in allowed:
            said = f"content type {media!r}; allowed are {', '.join(allowed)}"
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, said)
        body = await self._bytes(request)
        return body if operation.body is None else _decoded(body, operation.body)

    async def _bytes(self, request: Request) -> bytes:
        limit, body = self._desk.settings.web_body_limit_bytes, bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has {limit} bytes at most")
        return bytes(body)


def request_id_of(request: Request) -> str:
    """The id that the client gave, where it is sound; otherwise a new one."""
    given = request.headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID_FORM.fullmatch(given) else str(uuid4())


def _id(name: str, value: str) -> str:
    if not value.isprintable() or len(value) > _LONGEST_ID:
        raise Problem(HTTPStatus.NOT_FOUND, f"{name} is 1 to {_LONGEST_ID} printable characters")
    return value


def _query(request: Request, operation: Operation) -> Any:
    given = dict(request.query_params.multi_items())
    if len(given) != len(request.query_params.multi_items()):
        raise Problem(HTTPStatus.BAD_REQUEST, "a parameter of the query is given twice")
    if any("\0" in text for text in given.values()):
        raise Problem(HTTPStatus.BAD_REQUEST, "the query has a NUL character (U+0000), which cannot be looked for")
    try:
        asked = msgspec.convert(given, operation.query, strict=False)
        for name, text in given.items():
            _check(name, text, getattr(asked, name))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        names = ", ".join(each.encode_name for each in msgspec.structs.fields(operation.query)) or "none"
        raise Problem(HTTPStatus.BAD_REQUEST, f"query: {error}; parameters are: {names}") from error
    return asked


def _check(name: str, text: str, value: Any) -> None:
    """What a lenient conversion takes beyond what the document says is refused."""
    if value is None:
        raise ValueError(f"{name}: null is no value; leave it out")
    if isinstance(value, datetime) and ":" not in text:
        raise ValueError(f"{name}: {text!r} is no date and time as in RFC 3339")


def _decoded(body: bytes, kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"body: {error}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"body: no JSON: {error}") from error


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _told(problem: Problem, request_id: str) -> Response:
    body = msgspec.json.encode(problem.document(request_id))
    return Response(body, problem.status.value, {**_HEADERS, **problem.headers}, MEDIA_TYPE)


async def _unrouted(request: Request, error: Exception) -> Response:
    """Of a path or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101  nothing else is registered for it
    problem = Problem(
        HTTPStatus(error.status_code),
        f"{request.method} {request.url.path}: {error.detail}; what there is: /openapi.json",
        headers=error.headers,
    )
    request_id = request_id_of(request)
    response = _told(problem, request_id)
    response.headers[REQUEST_ID] = request_id
    return response

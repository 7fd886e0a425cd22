"""The ASGI application: each request gets an id, is let in or not, checked against its operation, and answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from infra.logs import about
from infra.web.client import client_of
from infra.web.desk import Desk
from infra.web.openapi import document
from infra.web.operation import Answer, Beside, Call, Operation
from infra.web.problem import Problem
from infra.web.reading import JSON, body_of, path_of, query_of
from infra.web.telling import HEADERS, REQUEST_ID, problem_of, request_id_of, told_problem
from infra.web.token import Bearer

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.web")


def application(
    desk: Desk, operations: Sequence[Operation], *, beside: Sequence[Beside] = (), others: Sequence[BaseRoute] = ()
) -> Starlette:
    """The app.

    Args:
        desk: what operations work with.
        operations: what can be asked for with a token.
        beside: what can be asked for without one.
        others: routes that are no part of the OpenAPI document.
    """
    door = _Door(desk)
    told = msgspec.json.encode(document([*operations, *(each.described for each in beside)]))

    async def openapi(_request: Request) -> Response:
        return Response(told, media_type=JSON, headers=HEADERS)

    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    # Fixed paths first: of `/x/{id}` and `/x/y` the first that fits answers, also about its methods.
    paths = sorted(by_path, key=lambda path: ("{" in path, path))
    routes: list[BaseRoute] = [Route(path, door.of(by_path[path]), methods=[*by_path[path]]) for path in paths]
    routes += [each.route(desk) for each in beside]
    return Starlette(
        routes=[Route("/openapi.json", openapi, methods=["GET"]), *routes, *others],
        exception_handlers={HTTPException: _unrouted},
    )


class _Door:
    """Lets requests in, and says of each what became of it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

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
            except Exception as error:  # noqa: BLE001  what is no problem of the asker's is in the log
                response = told_problem(problem_of(error), request_id)
            took, client = round(time.monotonic() - began, 6), client_of(request)
            _log.info("answered", operation=operation.name, status=response.status_code, seconds=took, client=client)
        response.headers[REQUEST_ID] = request_id
        return response

    async def _handled(self, request: Request, operation: Operation) -> Response:
        bearer = await run_in_threadpool(self._bearer, request, operation)
        path, query = path_of(request), query_of(request, operation)
        body = await body_of(request, operation, limit_bytes=self._desk.settings.web_body_limit_bytes)
        call = Call(self._desk, bearer, path, query, body, request.headers)
        given = await run_in_threadpool(operation.handle, call)
        answer = given if isinstance(given, Answer) else Answer(given)
        status = (answer.status or operation.status).value
        return Response(msgspec.json.encode(answer.value), status, {**HEADERS, **answer.headers}, JSON)

    def _bearer(self, request: Request, operation: Operation) -> Bearer:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        token = text.strip() if scheme.lower() == "bearer" else ""
        bearer = self._desk.admission.bearer(token, client=client_of(request), now=datetime.now(UTC))
        if bearer is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "wanted is the header Authorization: Bearer TOKEN, with one that `ledgerq token add` has made",
                headers={"www-authenticate": "Bearer"},
            )
        if not bearer.role.may(operation.role):
            wanted = operation.role.value
            raise Problem(HTTPStatus.FORBIDDEN, f"token {bearer.name} is of role {bearer.role}; wanted is {wanted}")
        return bearer


async def _unrouted(request: Request, error: Exception) -> Response:
    """Of a path or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101  nothing else is registered for it
    problem = Problem(
        HTTPStatus(error.status_code),
        f"{request.method} {request.url.path}: {error.detail}; what there is: /openapi.json",
        headers=error.headers,
    )
    return told_problem(problem, request_id_of(request))

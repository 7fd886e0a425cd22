"""The pages' door: who looks is asked for, and each page gets the visit that it draws."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from infra.web import session
from infra.web.desk import Desk
from infra.web.drawing import HERE, Drawing
from infra.web.forms import check_origin, form_of, texts
from infra.web.frame import HEADERS, Frame
from infra.web.login import Login
from infra.web.page import Page, Pages, Visit
from infra.web.problem import Problem


def browsed(desk: Desk, found: Sequence[Pages]) -> list[BaseRoute]:
    """Routes of all pages, of the login, and of what pages are made of."""
    every = [page for each in found for page in each.pages]
    frame = Frame(Drawing([each.templates for each in found], desk.redact), every)
    login = Login(desk, frame)
    door = _Door(desk, frame, login)
    return [
        Route("/", _to_pages, methods=["GET"]),
        Route(f"{session.PATH}/login", login.login, methods=["GET", "POST"]),
        Route(f"{session.PATH}/logout", login.logout, methods=["POST"]),
        Mount(f"{session.PATH}/static", _Static(directory=HERE / "static")),
        *(Route(session.PATH + page.path, door.of(page), methods=[page.method]) for page in every),
    ]


async def _to_pages(_request: Request) -> Response:
    return RedirectResponse(session.PATH, HTTPStatus.SEE_OTHER)


class _Static(StaticFiles):
    """Files that pages are made of; browsers ask each time whether they are still the same."""

    def file_response(self, *args: Any, **named: Any) -> Response:
        response = super().file_response(*args, **named)
        if isinstance(response, FileResponse):
            response.headers.update({**HEADERS, "cache-control": "no-cache"})
        return response


class _Door:
    def __init__(self, desk: Desk, frame: Frame, login: Login) -> None:
        self._desk, self._frame, self._login = desk, frame, login

    def of(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of a page."""

        async def endpoint(request: Request) -> Response:
            return await self._frame.answered(request, lambda: self._shown(request, page))

        return endpoint

    async def _shown(self, request: Request, page: Page) -> Response:
        if page.method != "GET":
            check_origin(request)
        bearer = await self._login.bearer(request)
        if bearer is None:
            return self._login.asked(request)
        if not bearer.role.may(page.role):
            said = f"token {bearer.name} is of role {bearer.role}; this needs {page.role.value}"
            raise Problem(HTTPStatus.FORBIDDEN, said)
        visit = Visit(
            desk=self._desk,
            bearer=bearer,
            path=texts(request.path_params),
            query=texts(request.query_params),
            form={} if page.method == "GET" else await form_of(request),
            is_part="hx-request" in request.headers,
        )
        return self._frame.drawn(request, await run_in_threadpool(page.handle, visit), bearer)

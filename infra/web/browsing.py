"""The pages' door: who looks is asked for once, and every answer to a browser passes here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.formparsers import FormParser
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from domain.refusal import Refusal
from infra.broker.errors import BrokerError
from infra.database import DatabaseUnreachableError
from infra.logs import about
from infra.web import session
from infra.web.app import REQUEST_ID, request_id_of
from infra.web.desk import Desk
from infra.web.drawing import HERE, Drawing
from infra.web.pace import Pace
from infra.web.page import Drawn, Page, Pages, Visit
from infra.web.problem import Problem
from infra.web.role import Role
from infra.web.token import Bearer, Doorkeeper

_POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_LARGEST_FORM_BYTES: Final = 65_536
_LONGEST_QUERY: Final = 4000
_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.web")
_Endpoint = Callable[[Request], Awaitable[Response]]


def browsed(desk: Desk, found: Sequence[Pages]) -> list[BaseRoute]:
    """Routes of all pages, of the login, and of what pages are made of."""
    every = [page for each in found for page in each.pages]
    door = _Door(desk, Drawing([each.templates for each in found]), every)
    return [
        Route("/", _to_pages, methods=["GET"]),
        Route(f"{session.PATH}/login", door.login, methods=["GET", "POST"]),
        Route(f"{session.PATH}/logout", door.logout, methods=["POST"]),
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
            response.headers.update({**_HEADERS, "cache-control": "no-cache"})
        return response


class _Door:
    def __init__(self, desk: Desk, drawing: Drawing, pages: Sequence[Page]) -> None:
        self._desk, self._drawing = desk, drawing
        self._keeper = Doorkeeper(desk.pool)
        self._pace = Pace(desk.settings.web_requests_per_second)
        self._navigation = [(session.PATH + page.path, page.label) for page in pages if page.label]

    def of(self, page: Page) -> _Endpoint:
        """The endpoint of a page."""

        async def endpoint(request: Request) -> Response:
            return await self._answered(request, lambda: self._shown(request, page))

        return endpoint

    async def login(self, request: Request) -> Response:
        """The form that asks for a token, and what takes it."""
        return await self._answered(request, lambda: self._logged_in(request))

    async def logout(self, request: Request) -> Response:
        """Forget who looks."""

        async def forgotten() -> Response:
            _check_origin(request)
            response = RedirectResponse(f"{session.PATH}/login", HTTPStatus.SEE_OTHER)
            session.forget(response)
            return response

        return await self._answered(request, forgotten)

    async def _answered(self, request: Request, give: Callable[[], Awaitable[Response]]) -> Response:
        began, request_id = time.monotonic(), request_id_of(request)
        with about(lambda: {"request_id": request_id}):
            try:
                response = await give()
            except Problem as problem:
                response = self._told(request, problem)
            except Exception:  # noqa: BLE001  it is in the log
                _log.exception("a fault of ours")
                fault = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; it is in the log")
                response = self._told(request, fault)
            took = round(time.monotonic() - began, 6)
            _log.info("answered", operation=request.url.path, status=response.status_code, seconds=took)
        response.headers.update({**_HEADERS, REQUEST_ID: request_id})
        return response

    async def _shown(self, request: Request, page: Page) -> Response:
        if page.method != "GET":
            _check_origin(request)
        bearer = await run_in_threadpool(self._bearer, session.token_of(request))
        if bearer is None:
            return self._unknown(request)
        self._check(bearer, page.role)
        form = {} if page.method == "GET" else await _form(request)
        visit = Visit(
            desk=self._desk,
            bearer=bearer,
            path=request.path_params,
            query=_texts(request.query_params),
            form=form,
            is_part="hx-request" in request.headers,
        )
        return self._drawn(request, await run_in_threadpool(_handled, page, visit), bearer)

    def _unknown(self, request: Request) -> Response:
        if request.method == "GET" and session.is_from_elsewhere(request):
            return self._drawn(request, Drawn("again.html"), None)  # then the browser sends the cookie
        if "hx-request" in request.headers or request.method != "GET":
            raise Problem(HTTPStatus.UNAUTHORIZED, "you are not logged in any more; load the page again")
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return self._drawn(request, Drawn("login.html", {"back": back, "flaw": ""}), None)

    async def _logged_in(self, request: Request) -> Response:
        if request.method != "POST":
            return self._drawn(request, Drawn("login.html", {"back": session.PATH, "flaw": ""}), None)
        _check_origin(request)
        form = await _form(request)
        back, token = session.way_back(form.get("back", "")), form.get("token", "").strip()
        bearer = await run_in_threadpool(self._bearer, token)
        if bearer is None or not bearer.role.may(Role.VIEWER):
            flaw = "Nobody has this token, or no longer." if bearer is None else "An emitter's token shows no pages."
            again = Drawn("login.html", {"back": back, "flaw": flaw}, HTTPStatus.FORBIDDEN)
            return self._drawn(request, again, None)
        response = RedirectResponse(back, HTTPStatus.SEE_OTHER)
        session.keep(response, request, token)
        return response

    def _bearer(self, token: str) -> Bearer | None:
        try:
            return self._keeper.bearer(token, now=datetime.now(UTC))
        except DatabaseUnreachableError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database cannot serve just now; try again") from error

    def _check(self, bearer: Bearer, role: Role) -> None:
        if self._pace.wait_seconds(bearer.name):
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, f"token {bearer.name} asks too often; wait a moment")
        if not bearer.role.may(role):
            said = f"token {bearer.name} is of role {bearer.role}; this needs {role.value}"
            raise Problem(HTTPStatus.FORBIDDEN, said)

    def _told(self, request: Request, problem: Problem) -> Response:
        values = {"title": problem.status.phrase, "note": problem.detail, "lines": {}, "back": session.PATH}
        return self._drawn(request, Drawn("said.html", values, problem.status), None)

    def _drawn(self, request: Request, drawn: Drawn, bearer: Bearer | None) -> Response:
        frame = {
            "navigation": self._navigation if bearer else [],
            "here": request.url.path,
            "bearer": bearer,
            "may_decide": bearer is not None and bearer.role.may(Role.OPERATOR),
            "is_part": "hx-request" in request.headers,
        }
        text = self._drawing.draw(drawn.template, {**frame, **drawn.values})
        return Response(text, drawn.status, media_type="text/html")


def _handled(page: Page, visit: Visit) -> Drawn:
    """What the page shows; what goes wrong is a problem.

    Raises:
        Problem: whatever it was.
    """
    try:
        return page.handle(visit)
    except Problem:
        raise
    except Refusal as refusal:
        raise Problem(HTTPStatus.CONFLICT, str(refusal), code=refusal.code) from refusal
    except (DatabaseUnreachableError, BrokerError) as error:
        _log.warning("cannot serve", reason=str(error))
        said = "the database or the broker cannot serve just now; try again"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, said) from error
    except Exception as error:
        _log.exception("a fault of ours")
        raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; it is in the log") from error


def _check_origin(request: Request) -> None:
    if not session.is_ours(request):
        raise Problem(HTTPStatus.FORBIDDEN, "this was sent from another site; use the button on the page")


async def _form(request: Request) -> Mapping[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"content type {kind!r}; forms are URL-encoded")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM_BYTES:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a form has {_LARGEST_FORM_BYTES} bytes at most")
    return _texts(await FormParser(request.headers, _once(bytes(body))).parse())


async def _once(body: bytes) -> Any:
    yield body
    yield b""


def _texts(given: Mapping[str, Any] | FormData) -> Mapping[str, str]:
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    if any("\0" in value or len(value) > _LONGEST_QUERY for value in texts.values()):
        raise Problem(HTTPStatus.BAD_REQUEST, f"a value has U+0000, or more than {_LONGEST_QUERY} characters")
    return texts

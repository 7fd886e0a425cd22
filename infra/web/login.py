"""The login: a token is pasted into a form, and the browser keeps it until the logout."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infra.web import session
from infra.web.client import client_of
from infra.web.desk import Desk
from infra.web.forms import check_origin, form_of
from infra.web.frame import Frame
from infra.web.page import Drawn
from infra.web.problem import Problem
from infra.web.role import Role
from infra.web.token import Bearer


class Login:
    """Who looks, as the browser's cookie says, and how it came to say so.

    Args:
        desk: whose admission says whose a token is.
        frame: draws the form.
    """

    def __init__(self, desk: Desk, frame: Frame) -> None:
        self._admission, self._frame = desk.admission, frame

    async def login(self, request: Request) -> Response:
        """The form that asks for a token, and what takes it."""
        return await self._frame.answered(request, lambda: self._logged_in(request))

    async def logout(self, request: Request) -> Response:
        """Forget who looks."""
        return await self._frame.answered(request, lambda: _logged_out(request))

    async def bearer(self, request: Request) -> Bearer | None:
        """Who looks; None: nobody that is known, or no longer.

        Raises:
            DatabaseUnreachableError: it cannot be looked up.
            Problem: 429, too much was asked for.
        """
        return await self._known(request, session.token_of(request))

    def asked(self, request: Request) -> Response:
        """What whoever is not known gets in the place of a page.

        Raises:
            Problem: 401, a form or a part of a page cannot ask for a token.
        """
        if request.method == "GET" and session.is_from_elsewhere(request):
            return self._frame.drawn(request, Drawn("again.html"), None)  # then the browser sends the cookie
        if "hx-request" in request.headers or request.method != "GET":
            raise Problem(HTTPStatus.UNAUTHORIZED, "you are not logged in any more; load the page again")
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return self._form(request, back=back)

    async def _logged_in(self, request: Request) -> Response:
        if request.method != "POST":
            return self._form(request, back=session.PATH)
        check_origin(request)
        form = await form_of(request)
        back, token = session.way_back(form.get("back", "")), form.get("token", "").strip()
        bearer = await self._known(request, token)
        if bearer is None or not bearer.role.may(Role.VIEWER):
            flaw = "Nobody has this token, or no longer." if bearer is None else "An emitter's token shows no pages."
            return self._form(request, back=back, flaw=flaw, status=HTTPStatus.FORBIDDEN)
        response = RedirectResponse(back, HTTPStatus.SEE_OTHER)
        session.keep(response, request, token)
        return response

    async def _known(self, request: Request, token: str) -> Bearer | None:
        now = datetime.now(UTC)
        return await run_in_threadpool(self._admission.bearer, token, client=client_of(request), now=now)

    def _form(self, request: Request, *, back: str, flaw: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
        return self._frame.drawn(request, Drawn("login.html", {"back": back, "flaw": flaw}, status), None)


async def _logged_out(request: Request) -> Response:
    check_origin(request)
    response = RedirectResponse(f"{session.PATH}/login", HTTPStatus.SEE_OTHER)
    session.forget(response, request)
    return response

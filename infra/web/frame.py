"""The frame around every page: the answer to a browser, its headers, its log line, and what is said when it fails."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from infra.logs import about
from infra.web import session
from infra.web.client import client_of
from infra.web.drawing import Drawing
from infra.web.page import Drawn, Page
from infra.web.problem import Problem
from infra.web.role import Role
from infra.web.telling import REQUEST_ID, problem_of, request_id_of
from infra.web.token import Bearer

_POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.web")


class Frame:
    """Draws pages with their navigation, and answers browsers.

    Args:
        drawing: fills the templates.
        pages: those that are in the navigation have a label.
    """

    def __init__(self, drawing: Drawing, pages: Sequence[Page]) -> None:
        self._drawing = drawing
        self._navigation = [(session.PATH + page.path, page.label) for page in pages if page.label]

    async def answered(self, request: Request, give: Callable[[], Awaitable[Response]]) -> Response:
        """What ``give`` gives, or a page that says why there is none."""
        began, request_id = time.monotonic(), request_id_of(request)
        with about(lambda: {"request_id": request_id}):
            try:
                response = await give()
            except Exception as error:  # noqa: BLE001  what is no problem of the asker's is in the log
                response = self._told(request, problem_of(error))
            took, path, client = round(time.monotonic() - began, 6), request.url.path, client_of(request)
            _log.info("answered", operation=path, status=response.status_code, seconds=took, client=client)
        response.headers.update({**HEADERS, REQUEST_ID: request_id})
        return response

    def drawn(self, request: Request, drawn: Drawn, bearer: Bearer | None) -> Response:
        """A page, for whoever looks; for nobody yet, without navigation."""
        frame = {
            "navigation": self._navigation if bearer else [],
            "here": request.url.path,
            "bearer": bearer,
            "may_decide": bearer is not None and bearer.role.may(Role.OPERATOR),
            "is_part": "hx-request" in request.headers,
        }
        text = self._drawing.draw(drawn.template, {**frame, **drawn.values})
        return Response(text, drawn.status, media_type="text/html")

    def _told(self, request: Request, problem: Problem) -> Response:
        values = {"title": problem.status.phrase, "note": problem.detail, "lines": {}, "back": session.PATH}
        response = self.drawn(request, Drawn("said.html", values, problem.status), None)
        response.headers.update(problem.headers)
        return response

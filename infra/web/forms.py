"""Forms and queries of browsers: that they are ours, and what they say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.formparsers import FormParser
from starlette.requests import Request

from infra.web import session
from infra.web.problem import Problem
from infra.web.reading import bytes_of, check_media

_KIND: Final = "application/x-www-form-urlencoded"
_LARGEST_BYTES: Final = 65_536
_LONGEST_VALUE: Final = 4000


def check_origin(request: Request) -> None:
    """See to it that a page of ours has sent this.

    Raises:
        Problem: 403, another site has.
    """
    if not session.is_ours(request):
        raise Problem(HTTPStatus.FORBIDDEN, "this was sent from another site; use the button on the page")


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form.

    Raises:
        Problem: it is none, or too long.
    """
    check_media(request, _KIND)
    body = await bytes_of(request, what="a form", limit_bytes=_LARGEST_BYTES)
    return texts(await FormParser(request.headers, _once(body)).parse())


def texts(given: Mapping[str, Any] | FormData) -> Mapping[str, str]:
    """The fields that are text.

    Raises:
        Problem: 400, one of them cannot be looked for.
    """
    found = {name: value for name, value in given.items() if isinstance(value, str)}
    if any("\0" in value or len(value) > _LONGEST_VALUE for value in found.values()):
        raise Problem(HTTPStatus.BAD_REQUEST, f"a value has U+0000, or more than {_LONGEST_VALUE} characters")
    return found


async def _once(body: bytes) -> AsyncGenerator[bytes]:
    yield body
    yield b""

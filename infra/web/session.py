"""Whose browser it is: a cookie holds the token, and what changes something has to come from our own pages."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

COOKIE: Final = "ledgerq_token"
PATH: Final = "/ui"
HOURS: Final = 12
"""How long a login holds; a token that is revoked or expires ends it at once."""
_OURS: Final = "same-origin"


def token_of(request: Request) -> str:
    """The token that the browser keeps; empty: none."""
    return request.cookies.get(COOKIE, "")


def keep(response: Response, request: Request, token: str) -> None:
    """Have the browser keep a token: no script reads it, and no other site makes the browser send it."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=HOURS * 3600,
        path=PATH,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def forget(response: Response, request: Request) -> None:
    """Have the browser forget it."""
    is_secure = request.url.scheme == "https"
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict", secure=is_secure)


def is_from_elsewhere(request: Request) -> bool:
    """Whether a link on another site led here: then the browser keeps the cookie back this one time."""
    return request.headers.get("sec-fetch-site", _OURS) in {"cross-site", "same-site"}


def is_ours(request: Request) -> bool:
    """Whether a form of our own pages sent this (Fetch Metadata; for browsers without it, the Origin header)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == _OURS
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "-")


def way_back(text: str) -> str:
    """Where to go after the login: a page of ours, whatever is asked for."""
    is_sound = text.startswith(PATH) and text.isprintable() and "\\" not in text
    return text if is_sound and text[len(PATH) : len(PATH) + 1] in {"", "/", "?"} else PATH

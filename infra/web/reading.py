"""Reading a request: its path, query and body, each checked against what its operation declares."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request

from infra.web.operation import Operation
from infra.web.problem import Problem

JSON: Final = "application/json"
_LONGEST_ID: Final = 255
_LONGEST_NUMBER: Final = 20
"""Digits that are read as a number at once."""


def path_of(request: Request) -> dict[str, str]:
    """The parameters in the path.

    Raises:
        Problem: 404, one of them can be no name of anything.
    """
    return {name: _id(name, value) for name, value in request.path_params.items()}


def query_of(request: Request, operation: Operation) -> Any:
    """An instance of the operation's ``query``.

    Raises:
        Problem: 400, it is none.
    """
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


async def body_of(request: Request, operation: Operation, *, limit_bytes: int) -> Any:
    """An instance of the operation's ``body``, or bytes where it declares media types of its own; None: it has neither.

    Raises:
        Problem: it is none.
    """
    if operation.body is None and not operation.media:
        return None
    check_media(request, *(operation.media or [JSON]))
    body = await bytes_of(request, what="a body", limit_bytes=limit_bytes)
    return body if operation.body is None else _decoded(body, operation.body)


def check_media(request: Request, *allowed: str) -> None:
    """See to it that what is sent is of an allowed media type.

    Raises:
        Problem: 415, it is not.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in allowed:
        said = f"content type {media!r}; allowed are {', '.join(allowed)}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, said)


async def bytes_of(request: Request, *, what: str, limit_bytes: int) -> bytes:
    """What is sent, not read further than it is taken.

    Raises:
        Problem: 413, it is too long; or 400, whoever sent it hung up.
    """
    long = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{what} has {limit_bytes:,} bytes at most")
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdecimal() and len(told) < _LONGEST_NUMBER and int(told) > limit_bytes:
        raise long
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > limit_bytes:
                raise long
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the caller hung up") from None
    return bytes(body)


def _id(name: str, value: str) -> str:
    if not value.isprintable() or len(value) > _LONGEST_ID:
        raise Problem(HTTPStatus.NOT_FOUND, f"{name} is 1 to {_LONGEST_ID} printable characters")
    return value


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

"""Operations: what can be asked for over HTTP, declared once for the route and for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from starlette.routing import BaseRoute

from infra.web.desk import Desk
from infra.web.role import Role
from infra.web.token import Bearer


class Call(NamedTuple):
    """One request, checked as far as its operation declares.

    Attributes:
        desk: what there is to work with.
        bearer: who asks.
        path: the parameters in the path.
        query: an instance of the operation's ``query``.
        body: an instance of its ``body``; bytes where it declares media types of its own.
        headers: of the request, by lower-case name.
    """

    desk: Desk
    bearer: Bearer
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """An answer of another status than the operation's own, or with headers."""

    value: Any
    status: HTTPStatus | None = None
    headers: Mapping[str, str] = {}


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked for in the query."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the OpenAPI document says of something that can be asked for.

    Attributes:
        method: of HTTP.
        path: as Starlette has it, ``/runs/{run_id}``.
        name: unique, for clients that are made from the document.
        summary: one line.
        answer: type of the value.
        status: of the answer.
        query: type of the query's parameters.
        body: type of the JSON body; None: there is none, or it is bytes of one of ``media``.
        media: by media type, what a body of it holds; for bodies that are not one JSON value of type ``body``.
        request_headers: by name, what they say.
        problems: statuses beside those that every operation may have.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: Any
    status: HTTPStatus = HTTPStatus.OK
    query: type[msgspec.Struct] = NoQuery
    body: type[msgspec.Struct] | None = None
    media: Mapping[str, Any] = field(default_factory=dict)
    request_headers: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[HTTPStatus, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Operation(Described):
    """An operation, for whoever has a token.

    Attributes:
        role: who may; an admin always.
        handle: does it, on a thread of its own; returns the answer's value, or an :class:`Answer`.
    """

    role: Role
    handle: Callable[[Call], Any]


@dataclass(frozen=True, kw_only=True)
class Signed(Described):
    """What is asked for without a token, by whoever knows a secret to sign with.

    Attributes:
        signature_headers: by name, what they say; without them there is no answer but a problem.
        for_whom: who knows the secret, for the document.
    """

    signature_headers: Mapping[str, str]
    for_whom: str


Declared = Operation | Signed


class Beside(NamedTuple):
    """What lets in whom it will, beside the operations.

    Attributes:
        described: for the document.
        route: makes it.
    """

    described: Signed
    route: Callable[[Desk], BaseRoute]

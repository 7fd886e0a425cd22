"""Pages: what can be looked at, or sent from a form, in a browser; declared once, as operations are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from infra.web.desk import Desk
from infra.web.role import Role
from infra.web.token import Bearer


class Visit(NamedTuple):
    """One request of a browser.

    Attributes:
        desk: what there is to work with.
        bearer: who looks.
        path: the parameters in the path.
        query: those of the query.
        form: the fields of the form that was sent; empty where none was.
        is_part: a part of a page is asked for, by htmx.
    """

    desk: Desk
    bearer: Bearer
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    is_part: bool

    @property
    def may_decide(self) -> bool:
        """Whether buttons are shown."""
        return self.bearer.role.may(Role.OPERATOR)


@dataclass(frozen=True)
class Drawn:
    """A template and what it is filled with."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK


def said(title: str, lines: Mapping[str, str] | None = None, *, back: str, note: str = "") -> Drawn:
    """What came of a form.

    Args:
        title: in a sentence.
        lines: by what is said, the page to look at; empty: none.
        back: the page to go on with.
        note: more about it.
    """
    return Drawn("said.html", {"title": title, "lines": lines or {}, "back": back, "note": note})


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, or what takes a form.

    Attributes:
        path: below ``/ui``, as Starlette has it.
        handle: does it, on a thread of its own.
        method: of HTTP.
        role: who may.
        label: its name in the navigation; None: it is not in there.
    """

    path: str
    handle: Callable[[Visit], Drawn]
    method: str = "GET"
    role: Role = Role.VIEWER
    label: str | None = None


class Pages(NamedTuple):
    """Pages of one package, and where their templates are."""

    pages: tuple[Page, ...]
    templates: Path

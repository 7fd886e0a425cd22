"""Problems: what the interface answers instead of what was asked for (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

MEDIA_TYPE: Final = "application/problem+json"


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong; ``detail`` says what, and what is allowed."""

    title: str
    status: int
    detail: str
    request_id: str
    code: str | None = None
    """A stable name of the refusal, where there is one."""
    problems: list[dict[str, Any]] | None = None
    """Each of several things that were wrong."""


class Problem(Exception):  # noqa: N818  RFC 9457's own word
    """What was asked for cannot be; raised by whoever finds out, and answered.

    Attributes:
        status: of HTTP.
        code: a stable name.
        headers: to be sent along.
        problems: each of several things that were wrong.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        problems: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = dict(headers or {})
        self.problems = problems

    def document(self, request_id: str) -> ProblemDocument:
        """As it is sent."""
        return ProblemDocument(
            title=self.status.phrase,
            status=self.status.value,
            detail=self.detail,
            request_id=request_id,
            code=self.code,
            problems=self.problems,
        )

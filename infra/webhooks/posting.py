"""Posting a delivery: one request, bounded in every way, and what came of it as a value."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import requests

from infra.settings import Settings
from infra.webhooks.guard import AddressForbiddenError, GuardedAdapter

READ_BYTES: Final = 16_384
"""So much of an answer is read; what it says does not matter, and the rest is never taken."""
CONNECT_SECONDS: Final = 5.0
GONE: Final = 410
ERROR_CHARACTERS: Final = 300
_TAKEN: Final = 2
_ELSEWHERE: Final = 3


class Posted(NamedTuple):
    """What came of a request.

    Attributes:
        status_code: of the answer; None: there was none.
        duration_seconds: until the answer's end, or the failure.
        retry_after: the answer's header of that name, as it came.
        error_type: how it failed; None: the answer was 2xx.
        error: the same in words.
    """

    status_code: int | None
    duration_seconds: float
    retry_after: str | None = None
    error_type: str | None = None
    error: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint says that it wants nothing any more."""
        return self.status_code == GONE


class _Session(requests.Session):
    """Knows of no redirects: the library would read the whole answer, unpacked, to be ready to follow one."""

    def get_redirect_target(self, _answer: requests.Response) -> None:
        """Nowhere."""
        return


def post(url: str, body: bytes, headers: Mapping[str, str], settings: Settings) -> Posted:
    """Post ``body`` to ``url``: no redirects, no proxies, no cookies, and to nobody inside our own networks."""
    total = settings.webhook_timeout_seconds
    guard = GuardedAdapter(settings.webhook_networks, connect_seconds=min(CONNECT_SECONDS, total), total_seconds=total)
    began = time.monotonic()
    with _Session() as session:
        session.trust_env = False
        session.verify = str(settings.webhook_ca_file) if settings.webhook_ca_file else True
        session.mount("https://", guard)
        session.mount("http://", guard)
        try:
            with session.post(url, data=body, headers=dict(headers), allow_redirects=False, stream=True) as answer:
                answer.raw.read(READ_BYTES, decode_content=False)
                status, retry_after = answer.status_code, answer.headers.get("retry-after")
        except Exception as error:  # noqa: BLE001  a server can make a client's library raise nearly anything
            return _failed(error, time.monotonic() - began, total)
    return _answered(status, time.monotonic() - began, retry_after)


def retry_after_seconds(text: str | None, *, now: datetime) -> float | None:
    """What a ``Retry-After`` asks for (RFC 9110, section 10.2.3): seconds, or a date; None where it is neither."""
    if not text:
        return None
    if text.strip().isdecimal() and text.isascii():
        return float(text[:12])
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _answered(status: int, seconds: float, retry_after: str | None) -> Posted:
    if status // 100 == _TAKEN:
        return Posted(status, seconds)
    error = f"it answered {status}" + (", a redirect, which is not followed" if status // 100 == _ELSEWHERE else "")
    return Posted(status, seconds, retry_after, "HTTPStatus", error)


def _failed(error: Exception, seconds: float, total: float) -> Posted:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, AddressForbiddenError):
            return Posted(None, seconds, None, "AddressForbidden", str(found))
        found = found.__cause__ or found.__context__
    if seconds >= total or isinstance(error, requests.Timeout):
        return Posted(None, seconds, None, "Timeout", f"no whole answer within {total:g} s")
    text = " ".join(str(error).split())[:ERROR_CHARACTERS]
    return Posted(None, seconds, None, type(error).__name__, text)

"""Messages as the log keeps them: enough of a dead letter to ask for its task again, whatever becomes of the broker."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

HEADER_LIMIT_BYTES: Final = 8_192
"""A header that takes more as JSON is not kept."""
_DEPTH_LIMIT: Final = 16


class KeptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message's body and headers, as far as they can be kept.

    Attributes:
        body: as text where it is UTF-8, else in base64 (RFC 4648); None where it was larger than what is kept.
        is_base64: which of the two.
        size_bytes: of the body, kept or not.
        content_type: the property.
        content_encoding: the property.
        headers: those that JSON can hold, without what the broker wrote on the message.
        headers_left_out: names of the others.
    """

    body: str | None
    size_bytes: int
    is_base64: bool = False
    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] = {}
    headers_left_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        body: bytes,
        headers: Mapping[str, Any],
        *,
        limit_bytes: int,
        content_type: str | None = None,
        content_encoding: str | None = None,
    ) -> Self:
        """What is kept of a message.

        Args:
            body: its bytes.
            headers: its headers, without the broker's.
            limit_bytes: size up to which the body is kept, and up to which all headers together are.
            content_type: the property.
            content_encoding: the property.
        """
        text, is_base64 = _as_text(body) if len(body) <= limit_bytes else (None, False)
        kept: dict[str, Any] = {}
        left_out: list[str] = []
        room = limit_bytes
        for name, value in headers.items():
            size = _json_size({name: value})
            if size is None or size > min(HEADER_LIMIT_BYTES, room):
                left_out.append(str(_sound(name))[:200])
                continue
            room -= size
            kept[name] = value
        return cls(
            body=text,
            size_bytes=len(body),
            is_base64=is_base64,
            content_type=_sound(content_type),
            content_encoding=_sound(content_encoding),
            headers=kept,
            headers_left_out=tuple(left_out[:100]),
        )

    def body_bytes(self) -> bytes | None:
        """The body as it was; None where it was not kept."""
        if self.body is None:
            return None
        return base64.b64decode(self.body) if self.is_base64 else self.body.encode()


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What a task message carries beside its task and arguments, for a run that is to carry it again.

    Attributes:
        embed: the third part of Celery's body: callbacks, chain, chord.
        headers: headers to set.
    """

    embed: dict[str, Any] = {}
    headers: dict[str, Any] = {}


def _sound(text: str | None) -> str | None:
    """The same as valid Unicode."""
    return None if text is None else text.encode(errors="replace").decode()


def _as_text(body: bytes) -> tuple[str, bool]:
    """The body as text that a database can hold as it is: PostgreSQL's jsonb has no U+0000."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    return (base64.b64encode(body).decode(), True) if "\0" in text else (text, False)


def _json_size(header: dict[str, Any]) -> int | None:
    """How many bytes a header takes as JSON; None where JSON cannot hold it so that it comes back the same."""
    try:
        if not _is_plain(header, _DEPTH_LIMIT):
            return None
        text = msgspec.json.encode(header)
    except (TypeError, ValueError, RecursionError):
        return None
    return None if b"\\u0000" in text else len(text)


def _is_plain(value: object, depth: int) -> bool:
    if depth == 0:
        return False
    match value:
        case None | bool() | int() | str():
            return True
        case float():
            return abs(value) < float("inf")  # neither an infinity nor "not a number"
        case list():
            return all(_is_plain(each, depth - 1) for each in value)
        case dict():
            return all(isinstance(name, str) and _is_plain(each, depth - 1) for name, each in value.items())
        case _:
            return False

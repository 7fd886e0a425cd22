"""From a message's content type, headers and body to its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.cloudevents.binary import decode_binary, is_binary
from infra.cloudevents.encoding import BATCH, STRUCTURED
from infra.cloudevents.event import JSON, CloudEvent, Unreadable
from infra.cloudevents.json_format import decode_batch, decode_structured

_FAMILY: Final = "application/cloudevents"
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", ""})
_ALLOWED: Final = (
    f"allowed are {STRUCTURED}, {BATCH}, or application/json with the headers cloudEvents:type, cloudEvents:id, …"
)


def decode(content_type: str | None, headers: Mapping[str, Any] | None, body: bytes) -> list[CloudEvent | Unreadable]:
    """The events of one message, in their order. Never raises: what is no event comes back as :class:`Unreadable`.

    Structured and batch mode are known by their content type, everything else is binary mode (CloudEvents AMQP
    binding §3). An element of a batch that is no event does not spoil the others; an empty batch has none.

    Args:
        content_type: the message's property, with or without parameters.
        headers: the message's headers, values as an AMQP 0-9-1 client gives them.
        body: the message's body, of any size; the limit is the caller's to apply.
    """
    media_type, charset = _media_type(content_type or JSON)
    if charset not in _CHARSETS:
        return [Unreadable.of(f"charset {charset!r}; allowed is utf-8", body)]
    if media_type == STRUCTURED:
        return [decode_structured(body)]
    if media_type == BATCH:
        return decode_batch(body)
    if media_type.startswith(_FAMILY):
        return [Unreadable.of(f"event format {media_type!r}; {_ALLOWED}", body)]
    if not headers or not is_binary(headers):
        return [
            Unreadable.of(f"no CloudEvent: content type {content_type!r}, no cloudEvents: header; {_ALLOWED}", body)
        ]
    return [decode_binary(content_type, headers, body)]


def _media_type(content_type: str) -> tuple[str, str]:
    if ";" not in content_type:
        return content_type.strip().lower(), ""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = (part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset="))
    return media_type, next(charsets, "")

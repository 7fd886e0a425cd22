"""Binary mode: attributes in headers, in the types that AMQP 0-9-1 clients give their values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from infra.cloudevents.attributes import ATTRIBUTES, complaint, rule
from infra.cloudevents.event import ABSENT, JSON, CloudEvent, Unreadable, is_json
from infra.cloudevents.json_format import json_text

PREFIXES: Final = ("cloudEvents:", "cloudEvents_")
"""Of header names: the binding's, and the one for clients that allow no colon in a name (binding §3.1.3.1)."""

_PREFIX_LENGTH: Final = len(PREFIXES[0])


def decode_binary(content_type: str | None, headers: Mapping[str, Any], body: bytes) -> CloudEvent | Unreadable:
    """The event whose attributes are headers and whose data is the body (CloudEvents AMQP binding §3.1)."""
    if content_type is not None and not is_json(content_type):
        return Unreadable.of(f"content type {content_type!r}; allowed: {rule('datacontenttype')}", body)
    try:
        attributes: dict[str, Any] = _attributes(headers)
        attributes["data"] = json_text(body) if body else ABSENT
        attributes["datacontenttype"] = _plain(content_type)
        return msgspec.convert(attributes, CloudEvent)
    except _HeaderInvalid as error:
        return Unreadable.of(str(error), body)
    except msgspec.ValidationError as error:
        return Unreadable.of(complaint(error), body)
    except msgspec.DecodeError as error:
        return Unreadable.of(f"data: {error}; allowed is JSON text", body)
    except OverflowError as error:
        return Unreadable.of(f"attribute time: {error}; allowed: {rule('time')}", body)


class _HeaderInvalid(Exception):  # noqa: N818  never leaves this module
    pass


def is_binary(headers: Mapping[str, Any]) -> bool:
    """Whether any header is an attribute."""
    return any(name.startswith(PREFIXES) for name in headers)


def _plain(content_type: str | None) -> str | None:
    if content_type is None:
        return None
    return JSON if content_type.partition(";")[0].strip().lower() == JSON else content_type


def _attributes(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _value(name, value)
        for header, value in headers.items()
        if header.startswith(PREFIXES) and (name := header[_PREFIX_LENGTH:]) in ATTRIBUTES and value is not None
    }


def _value(name: str, value: object) -> str | datetime:
    """One header's value in its canonical form (CloudEvents §3.1); both forms must be understood (binding §3.1.3.2)."""
    match value:
        case str() if "\0" not in value:
            return value
        case datetime():
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case _:
            raise _HeaderInvalid(f"attribute {name}: {value!r:.80}; allowed: {rule(name)}")

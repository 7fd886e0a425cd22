"""What an attribute may be, in words: the second half of every complaint about one."""

from __future__ import annotations

import re
from typing import Final

from domain.moment import BOUNDS
from infra.cloudevents.event import CloudEvent

_NAME: Final = "1 to 255 characters"
_REFERENCE: Final = "a URI reference of 1 to 1024 characters"
_RULES: Final[dict[str, str]] = {
    "specversion": 'the string "1.0"',
    "id": _NAME,
    "source": _REFERENCE,
    "type": _NAME,
    "time": f"an RFC 3339 date-time with an offset, {BOUNDS}",
    "subject": _NAME,
    "datacontenttype": "application/json or */*+json",
    "dataschema": _REFERENCE,
    "traceparent": "up to 512 characters",
    "tracestate": "up to 512 characters",
}
_REQUIRED: Final = "specversion, id, source, type and time are required"
_PATH: Final = re.compile(r" - at `\$\.?(?P<attribute>\w+)?.*`$")
_MISSING: Final = re.compile(r"^Object missing required field `(?P<attribute>\w+)`")


def complaint(error: Exception) -> str:
    """What is wrong and what is allowed, from msgspec's error about a :class:`CloudEvent`."""
    text = str(error)
    if missing := _MISSING.match(text):
        return f"attribute {missing['attribute']} is missing: {_REQUIRED}"
    path = _PATH.search(text)
    if path is None or path["attribute"] is None:
        return f"not a CloudEvent: {text}; allowed is a JSON object, {_REQUIRED}"
    attribute = path["attribute"]
    return f"attribute {attribute}: {text[: path.start()]}; allowed: {rule(attribute)}"


def rule(attribute: str) -> str:
    """What the value of an attribute may be."""
    return _RULES.get(attribute, _NAME)


ATTRIBUTES: Final = frozenset(CloudEvent.__struct_fields__) - {"data"}
"""Names of all attributes that are read."""

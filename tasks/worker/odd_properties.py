"""Message properties that py-amqp cannot read, made harmless.

py-amqp reads properties while it reads a frame, and what it raises there is no message's error: a header with a time
past the year 9999, tables nested without end, or a content type that is not UTF-8 would end the worker or its
connection, be delivered again, and end the next one. (What pika makes of the like: `infra.broker.odd_headers`.)
"""

from __future__ import annotations

import struct
from typing import Any, Final

from amqp import serialization
from amqp.exceptions import FrameSyntaxError
from amqp.spec import Basic

from infra.broker.odd_headers import UNREADABLE

_UNREADABLE: Final = (ValueError, OverflowError, OSError, RecursionError, IndexError, struct.error, FrameSyntaxError)


def tolerate_odd_properties() -> None:
    """From now on, in this process: properties that cannot be read are one header that says so."""
    serialization.PROPERTY_CLASSES[Basic.CLASS_ID] = _tolerant


def _tolerant(encoded: bytes, offset: int) -> tuple[dict[str, Any], int]:
    try:
        read: tuple[dict[str, Any], int] = serialization.decode_properties_basic(encoded, offset)
    except _UNREADABLE:
        return {"application_headers": {UNREADABLE: True}}, len(encoded)
    return read

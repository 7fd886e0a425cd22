"""Headers that pika cannot represent, made harmless.

pika decodes headers while it reads a frame, and an error there ends the connection: a header with a time past the year
9999 (milliseconds where AMQP counts seconds) or a number that is no number, in one message, would be delivered again
and end the next connection, for ever. What cannot be represented as it should is represented otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

import pika.data

UNREADABLE: Final = "x-ledgerq-headers-unreadable"
"""Stands alone in a table of headers that could not be read at all."""

_SIZE: Final = Struct(">I")
_NUMBERS: Final = {b"T": Struct(">Q"), b"f": Struct(">f"), b"d": Struct(">d")}
_decode_value: Final[Callable[[bytes, int], tuple[Any, int]]] = pika.data.decode_value
_decode_table: Final[Callable[[bytes, int], tuple[dict[Any, Any], int]]] = pika.data.decode_table


def tolerate_odd_headers() -> None:
    """From now on, in this process: a time that is out of range is its number of seconds, a float stays a float."""
    pika.data.decode_value = _tolerant_value
    pika.data.decode_table = _tolerant_table


def _tolerant_value(encoded: bytes, offset: int) -> tuple[Any, int]:
    kind = encoded[offset : offset + 1]
    if kind not in _NUMBERS:
        return _decode_value(encoded, offset)
    number = _NUMBERS[kind]
    after = offset + 1 + number.size
    if kind != b"T":
        return number.unpack_from(encoded, offset + 1)[0], after
    try:
        return _decode_value(encoded, offset)
    except (ValueError, OverflowError, OSError):  # as datetime.fromtimestamp raises out of its range
        return number.unpack_from(encoded, offset + 1)[0], after


def _tolerant_table(encoded: bytes, offset: int) -> tuple[dict[Any, Any], int]:
    try:
        return _decode_table(encoded, offset)
    except (ValueError, OverflowError, RecursionError):
        return {UNREADABLE: True}, offset + _SIZE.size + _SIZE.unpack_from(encoded, offset)[0]

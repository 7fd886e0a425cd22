"""JSON text that can be stored: what the database would refuse is refused at the door, by name.

PostgreSQL's jsonb takes neither invalid UTF-8 nor U+0000 (PostgreSQL manual §8.14), and one such value would fail the
whole transaction of a batch. Parsers recurse, so how deep is not a message's to decide.
"""

from __future__ import annotations

import re
from typing import Final

DEPTH_LIMIT: Final = 64
"""Deepest nesting of arrays and objects."""

NUL: Final = rb"\u0000"
"""What JSON text with a U+0000 in it contains."""
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_SYMBOL_FOR_NUL: Final = rb"\1\\u2400"
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def unstorable(text: bytes) -> str | None:
    """Why JSON text cannot be stored, or None where it can."""
    return unstorable_character(text) or unstorable_depth(text)


def storable(text: bytes) -> bytes:
    """The same JSON text with U+2400 (SYMBOL FOR NULL) in the place of every U+0000.

    For what we say ourselves: what became of a task must not be lost for one character of its error message.
    """
    return _NUL_ESCAPE.sub(_SYMBOL_FOR_NUL, text) if NUL in text else text


def unstorable_character(text: bytes) -> str | None:
    """Which character of JSON text cannot be stored, or None where all can."""
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return f"byte {error.start} is not UTF-8; allowed is JSON text in UTF-8 (RFC 8259 §8.1)"
    if NUL in text and _NUL_ESCAPE.search(text):
        return "it holds the character U+0000, which cannot be stored; allowed is every other one"
    return None


def unstorable_depth(text: bytes) -> str | None:
    """That JSON text is nested too deep, or None where it is not."""
    at_most = text.count(b"[") + text.count(b"{")
    if at_most > DEPTH_LIMIT and _depth(text) > DEPTH_LIMIT:
        return f"it is nested deeper than {DEPTH_LIMIT} levels; allowed are {DEPTH_LIMIT}"
    return None


def _depth(text: bytes) -> int:
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        sign = match.group()
        if sign in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif sign in (b"]", b"}"):
            depth -= 1
    return deepest

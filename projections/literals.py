"""Columns of values as PostgreSQL reads them: array literals and lines of COPY, a thousand rows at a time.

Dumping each value on its own through the driver costs more than the database takes to store the row. Here a column is
looked at as a whole: only where one of its texts has a character with a meaning is each of them escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

_IN_ARRAYS: Final = re.compile(r'[\\"]')
_IN_LINES: Final = re.compile(r"[\\\t\n\r]")
_LINE_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_NULL_IN_LINES: Final = r"\N"


def array_literal(values: Sequence[Any]) -> str:
    """``values`` as the text of an array (PostgreSQL manual, 8.15.2)."""
    texts = _texts(values)
    if _IN_ARRAYS.search("".join([text for text in texts if text is not None])):
        texts = [None if text is None else _IN_ARRAYS.sub(r"\\\g<0>", text) for text in texts]
    if None in texts:
        return "{" + ",".join(["NULL" if text is None else f'"{text}"' for text in texts]) + "}"
    return '{"' + '","'.join([text for text in texts if text is not None]) + '"}' if texts else "{}"


def copy_lines(columns: Iterable[Sequence[Any]]) -> bytes:
    """The rows that ``columns`` make, in COPY's text format (PostgreSQL manual, COPY, "Text Format").

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair.
    """
    cells = [_cells(column) for column in columns]
    lines = "\n".join(map("\t".join, zip(*cells, strict=True)))
    return f"{lines}\n".encode() if lines else b""


def _cells(values: Sequence[Any]) -> list[str]:
    texts = _texts(values)
    if _IN_LINES.search("".join([text for text in texts if text is not None])):
        texts = [None if text is None else text.translate(_LINE_ESCAPES) for text in texts]
    return [_NULL_IN_LINES if text is None else text for text in texts]


def _texts(values: Sequence[Any]) -> list[str | None]:
    """Each value as the input function of its column's type reads it; all of one column are of one type or None."""
    kind = next((type(value) for value in values if value is not None), str)
    if issubclass(kind, str):
        return list(values)
    if issubclass(kind, datetime):
        return [None if value is None else value.isoformat() for value in values]
    return [None if value is None else str(value) for value in values]

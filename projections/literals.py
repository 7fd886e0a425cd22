"""Columns of values as PostgreSQL reads them: array literals and lines of COPY, a thousand rows at a time.

Dumping each value on its own through the driver costs more than the database takes to store the row. Here a column is
looked at as a whole: only where one of its texts has a character with a meaning is each of them escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

_IN_ARRAYS: Final = {'"': r"\"", "\\": r"\\"}
_IN_LINES: Final = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_NULL_IN_ARRAYS: Final = "NULL"
_NULL_IN_LINES: Final = r"\N"

_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def array_literal(values: Sequence[Any]) -> str:
    """``values`` as the text of an array (PostgreSQL manual, 8.15.2)."""
    kind = _kind(values)
    if issubclass(kind, datetime):
        return "{" + _moments(values) + "}"
    texts = _escaped(values, _IN_ARRAYS) if issubclass(kind, str) else _plain(values)
    if None in texts:
        return "{" + ",".join([_NULL_IN_ARRAYS if text is None else f'"{text}"' for text in texts]) + "}"
    return '{"' + '","'.join(texts) + '"}' if texts else "{}"


def copy_lines(columns: Iterable[Sequence[Any]]) -> bytes:
    """The rows that ``columns`` make, in COPY's text format (PostgreSQL manual, COPY, "Text Format").

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair.
    """
    cells = [_cells(column) for column in columns]
    lines = "\n".join(map("\t".join, zip(*cells, strict=True)))
    return f"{lines}\n".encode() if lines else b""


def _cells(values: Sequence[Any]) -> Sequence[str]:
    kind = _kind(values)
    if issubclass(kind, datetime):
        return _moments(values).replace('"', "").replace("null", _NULL_IN_LINES).split(",")
    texts = _escaped(values, _IN_LINES) if issubclass(kind, str) else _plain(values)
    return [_NULL_IN_LINES if text is None else text for text in texts] if None in texts else texts


def _kind(values: Sequence[Any]) -> type:
    """The type of all values of one column that are not None."""
    return next((type(value) for value in values if value is not None), str)


def _moments(values: Sequence[Any]) -> str:
    """Moments in ISO 8601, quoted, with commas between them; one by one ``isoformat`` takes fifteen times as long."""
    return _encode(values)[1:-1].decode()


def _plain(values: Sequence[Any]) -> list[Any]:
    """Numbers and truth values, as the input functions of their types read them."""
    return [None if value is None else str(value) for value in values]


def _escaped(values: Sequence[Any], escapes: Mapping[str, str]) -> Sequence[Any]:
    """The texts with what has a meaning escaped; ``values`` themselves where none of them has such a character."""
    try:
        together = "".join(values)
    except TypeError:
        together = "".join([text for text in values if text is not None])
    if not any(character in together for character in escapes):
        return values
    table = str.maketrans(dict(escapes))
    return [None if text is None else text.translate(table) for text in values]

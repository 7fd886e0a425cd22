"""Drawing pages: templates, and how moments, lengths of time and numbers are written in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infra.logs.redaction import Redactor

HERE: Final = Path(__file__).parent
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_NOTHING: Final = "-"


class Drawing:
    """Fills templates; everything that is put in is escaped.

    Args:
        directories: where templates are, beside those of the frame.
        redact: hides secrets, in all that ``pretty`` writes and in what passes ``redacted``.
    """

    def __init__(self, directories: Sequence[Path], redact: Redactor) -> None:
        loader = FileSystemLoader([HERE / "templates", *directories])
        self._templates = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters.update(
            moment=moment,
            lasted=lasted,
            number=number,
            segment=segment,
            query=query,
            pretty=lambda value: pretty(redact.value(value)),
            redacted=lambda text: redact(text or ""),
        )

    def draw(self, template: str, values: Mapping[str, Any]) -> str:
        """The page as HTML."""
        return self._templates.get_template(template).render(**values)


def moment(at: datetime | None, digits: int = 0) -> str:
    """A moment in UTC, with so many digits after the second."""
    if at is None:
        return _NOTHING
    told = at.astimezone(UTC)
    fraction = f".{told.microsecond:06d}"[: digits + 1] if digits else ""
    return f"{told:%Y-%m-%d %H:%M:%S}{fraction}"


def lasted(seconds: float | None) -> str:
    """A length of time in its two largest units."""
    if seconds is None:
        return _NOTHING
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if abs(whole) < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if abs(whole) < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def number(value: float | None) -> str:
    """A number with its thousands apart."""
    return _NOTHING if value is None else f"{value:,}"


def pretty(value: Any) -> str:
    """A value as JSON on several lines."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def segment(text: str) -> str:
    """A segment of a path."""
    return quote(text, safe="")


def query(values: Mapping[str, Any], **changed: Any) -> str:
    """A query with what is not empty, some of it changed."""
    return urlencode({name: value for name, value in {**values, **changed}.items() if value not in (None, "")})

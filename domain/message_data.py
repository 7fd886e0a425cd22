"""What the data of messages is made of: the values it holds, and the structs that check them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec

from domain.moment import BOUNDS, is_within_bounds

_END: Final = r"$(?!\n)"
# The very end: Python's `$` also matches before a last line feed, and the `\Z` that does not is unknown to ECMA 262.

Id = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9._:-]+" + _END,
        description="1 to 100 letters, digits, dots, underscores, colons or hyphens; a UUIDv7 serves best",
    ),
]
Moment = Annotated[datetime, msgspec.Meta(tz=True, description=f"RFC 3339 date-time with an offset, {BOUNDS}")]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
Email = Annotated[
    str,
    msgspec.Meta(
        max_length=254,
        pattern=r"^[^@\s]+@[^@\s]+" + _END,
        description="up to 254 characters, none of them white space, with one @ among them",
    ),
]


class MessageData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data of a message. Unknown fields are refused: a misspelt one must not be lost in silence."""


class TimedData(MessageData, frozen=True, kw_only=True):
    """Data that holds moments; those that nothing of ours can hold are refused."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, datetime) and not is_within_bounds(value):
                raise ValueError(f"{name}: {value.isoformat()} is not {BOUNDS}")

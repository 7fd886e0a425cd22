"""Cursors: where the next page of a list begins, as text that means nothing to whoever holds it."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from infra.web.problem import Problem

_NONE: Final = "after: no `next` that was given with a page"


class Cursor(NamedTuple):
    """The last row of a page: the time that the list is ordered by, and its key.

    Attributes:
        at: with a time zone.
        key: of the row.
    """

    at: datetime
    key: str

    @property
    def text(self) -> str:
        """As it is handed out."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Cursor:
        """The cursor.

        Raises:
            Problem: it is none that was handed out.
        """
        try:
            found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (ValueError, binascii.Error, msgspec.DecodeError, UnicodeEncodeError, OverflowError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, _NONE) from error
        if found.at.tzinfo is None or "\0" in found.key:
            raise Problem(HTTPStatus.BAD_REQUEST, _NONE)
        return found

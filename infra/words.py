"""Text as people write it on the command line."""

from __future__ import annotations

from typing import Final

import click


class Words(click.ParamType[str]):
    """Text that a database can be asked about: a shell hands over any bytes but NUL, a database takes UTF-8."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is; a usage error where its bytes were no UTF-8, or a NUL is in it."""
        try:
            value.encode()
        except UnicodeEncodeError as error:
            self.fail(f"{value!r} is no text: what is at character {error.start + 1} is not UTF-8", param, ctx)
        if "\x00" in value:
            self.fail(f"{value!r} is no text: it has a NUL at character {value.index(chr(0)) + 1}", param, ctx)
        return value


WORDS: Final = Words()

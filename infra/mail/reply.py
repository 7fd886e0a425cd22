"""What a mail server answers."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

POSITIVE_CODES: Final = range(200, 300)
PERMANENT_CODES: Final = range(500, 600)
"""Replies that a repetition does not change (RFC 5321, section 4.2.1)."""
TEXT_CHARACTERS: Final = 300
"""How much of a reply's text is kept; a server may write as much as it likes."""


class Reply(NamedTuple):
    """A reply to a command.

    Attributes:
        code: three digits (RFC 5321, section 4.2).
        text: in one line of printable characters, bounded.
    """

    code: int
    text: str

    @classmethod
    def of(cls, code: int, text: bytes | str) -> Self:
        """A reply as it came, made fit to be kept and shown."""
        return cls(code, bounded_text(text))

    @property
    def is_positive(self) -> bool:
        """Whether it says yes."""
        return self.code in POSITIVE_CODES

    @property
    def is_permanent(self) -> bool:
        """Whether it says no for good."""
        return self.code in PERMANENT_CODES

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def bounded_text(text: bytes | str) -> str:
    """``text`` in one line of printable characters, at most :data:`TEXT_CHARACTERS` of them."""
    told = text.decode(errors="replace") if isinstance(text, bytes) else text
    printable = "".join(character if character.isprintable() else " " for character in told[: 4 * TEXT_CHARACTERS])
    line = " ".join(printable.split())
    return line if len(line) <= TEXT_CHARACTERS else f"{line[: TEXT_CHARACTERS - 1]}…"

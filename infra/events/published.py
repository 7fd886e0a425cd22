"""Heads that were published, as somebody hands them in again, and which of them nobody looked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import click

from infra.events.finding import Head


class Published(NamedTuple):
    """The heads that a verification is given.

    Attributes:
        asked: each by itself; every one of them must be looked for.
        listed: from a file, which may hold heads of other logs and other times; at least one must be looked for.
        file: that file; None: there is none.
    """

    asked: tuple[Head, ...]
    listed: tuple[Head, ...]
    file: Path | None

    @classmethod
    def read(cls, heads: Iterable[str], file: Path | None) -> Published:
        """From the options ``--head`` and ``--heads``.

        Raises:
            click.UsageError: one of them is no head, or the file is no text.
        """
        try:
            lines = file.read_text(encoding="utf-8").splitlines() if file else []
        except UnicodeDecodeError as error:
            raise click.UsageError(f"{file} is no file of heads: {error}") from error
        return cls(_parsed(heads), _parsed(line for line in lines if line.strip()), file)

    @property
    def all(self) -> tuple[Head, ...]:
        """The heads, wherever they are from."""
        return self.asked + self.listed

    def unanswered(self, looked_for: Collection[Head]) -> str | None:
        """What to say where the verification does not answer what was asked; None: it does."""
        missed = [head for head in self.asked if head not in looked_for]
        reason = "another log, or a part of the log that is not looked at"
        if missed:
            return f"{len(missed)} heads were not looked for: {missed[0].text} is of {reason}"
        if self.file and not any(head in looked_for for head in self.listed):
            return f"none of the {len(self.listed)} heads in {self.file} was looked for: they are of {reason}"
        return None

    def passed_over(self, looked_for: Collection[Head]) -> int:
        """How many heads of the file were not looked for."""
        return sum(head not in looked_for for head in self.listed)


def _parsed(lines: Iterable[str]) -> tuple[Head, ...]:
    try:
        return tuple(Head.parse(line) for line in lines)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

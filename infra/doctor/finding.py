"""What the doctor finds."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One misconfiguration: what is wrong, where, and what to do about it; each is one sentence or name."""

    check: str
    """Stable name of the check, for machines."""
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}."


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """Something the doctor could not look at, and why. It is no misconfiguration and fails nothing."""

    check: str
    why: str

    def __str__(self) -> str:
        return f"{self.check} not checked: {self.why}"

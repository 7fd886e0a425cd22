"""What a token is good for."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A viewer reads, an operator reads and decides, an emitter emits events and asks for tasks, an admin does all."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EMITTER = "emitter"
    ADMIN = "admin"

    def may(self, wanted: Role) -> bool:
        """Whether this role does what ``wanted`` does."""
        return self in {wanted, Role.ADMIN} or (self is Role.OPERATOR and wanted is Role.VIEWER)

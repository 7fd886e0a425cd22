"""Where a license stands."""

from __future__ import annotations

from enum import StrEnum


class LicenseState(StrEnum):
    """Where a license stands. An active one admits sessions, and an expired one whose policy maintains access."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"

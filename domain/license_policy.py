"""License policies: the rules under which a license's sessions are watched, expire and are counted.

A license holds its policy in full, as a value: a change replaces it, and the events say it before and after. The
defaults are how every license behaved before licenses had a policy, so stored events mean what they meant.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec


class MonitoringStart(StrEnum):
    """From when on a session's silence counts."""

    CREATION = "creation"
    """From its start: one that never sends a heartbeat lapses."""
    FIRST_HEARTBEAT = "first_heartbeat"
    """From its first heartbeat: one that never sends any does not lapse."""


class OnLapse(StrEnum):
    """What becomes of a session whose heartbeats stopped."""

    END = "end"
    """It counts as ended at its last heartbeat, and gives its seat back."""
    KEEP = "keep"
    """It stays as lapsed, and keeps its seat."""


class Resurrection(StrEnum):
    """How long after its lapse a heartbeat may resume a session."""

    NEVER = "never"
    ONE_MINUTE = "1_minute"
    TWO_MINUTES = "2_minutes"
    FIVE_MINUTES = "5_minutes"
    TEN_MINUTES = "10_minutes"
    FIFTEEN_MINUTES = "15_minutes"
    ALWAYS = "always"

    @property
    def window(self) -> timedelta | None:
        """The stretch after the lapse in which a heartbeat resumes the session; zero: never, None: without an end."""
        return None if self is Resurrection.ALWAYS else timedelta(minutes=_MINUTES.get(self, 0))


class Expiry(StrEnum):
    """What the end of a license's term means for its use."""

    RESTRICT = "restrict"
    """It admits nothing new; what is open goes on."""
    REVOKE = "revoke"
    """It admits nothing new, and its open sessions and its work end."""
    MAINTAIN = "maintain"
    """Access goes on: the license is expired and still admits."""


class Overage(StrEnum):
    """How far beyond its seats a license may be used."""

    NONE = "none"
    ONE_AND_A_QUARTER = "1.25x"
    ONE_AND_A_HALF = "1.5x"
    TWICE = "2x"
    ALWAYS = "always"

    def limit(self, seats: int | None) -> int | None:
        """Most sessions that may hold a seat at once; None: any number.

        Args:
            seats: of the license, None where it has no limit. What the factor gives is rounded down, so one seat and
                a quarter more is one.
        """
        if seats is None or self is Overage.ALWAYS:
            return None
        return seats * _PERCENT[self] // 100


_MINUTES: Final = {
    Resurrection.ONE_MINUTE: 1,
    Resurrection.TWO_MINUTES: 2,
    Resurrection.FIVE_MINUTES: 5,
    Resurrection.TEN_MINUTES: 10,
    Resurrection.FIFTEEN_MINUTES: 15,
}
_PERCENT: Final = {
    Overage.NONE: 100,
    Overage.ONE_AND_A_QUARTER: 125,
    Overage.ONE_AND_A_HALF: 150,
    Overage.TWICE: 200,
}


class LicensePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that a license lives under.

    Attributes:
        name: what people call these rules.
        heartbeat_interval_seconds: how often its sessions are meant to send heartbeats.
        patience_seconds: silence after which its sessions lapse; None: the platform's default, resolved when a session
            starts.
        monitoring_starts: from when on a session's silence counts.
        on_lapse: what becomes of a session that lapses.
        resurrection: how long after its lapse a session may resume.
        expiry: what the end of the term means.
        overage: how far beyond the seats it may be used.
    """

    name: str = "default"
    heartbeat_interval_seconds: float = 60.0
    patience_seconds: float | None = None
    monitoring_starts: MonitoringStart = MonitoringStart.CREATION
    on_lapse: OnLapse = OnLapse.END
    resurrection: Resurrection = Resurrection.TEN_MINUTES
    expiry: Expiry = Expiry.RESTRICT
    overage: Overage = Overage.NONE


DEFAULT: Final = LicensePolicy()
"""What holds where nothing else was agreed."""

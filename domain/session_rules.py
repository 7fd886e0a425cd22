"""The rules that a session lives under: what its license's policy said when it started."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

import msgspec

from domain.license_policy import LicensePolicy, MonitoringStart, OnLapse, Resurrection


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a session goes by from its start to its end; a later change of the policy is for later sessions.

    Attributes:
        policy: what people call the rules of its license.
        heartbeat_interval_seconds: how often it is meant to send heartbeats.
        patience_seconds: silence after which it lapses; always stated.
        monitoring_starts: from when on its silence counts.
        on_lapse: what a lapse does.
        resurrection: how long after its patience is over a heartbeat may resume it.

    The defaults are how every session lived before its license had a policy.
    """

    policy: str = "default"
    heartbeat_interval_seconds: float = 60.0
    patience_seconds: float
    monitoring_starts: MonitoringStart = MonitoringStart.CREATION
    on_lapse: OnLapse = OnLapse.END
    resurrection: Resurrection = Resurrection.TEN_MINUTES

    @classmethod
    def under(cls, policy: LicensePolicy, *, default_patience: timedelta) -> Self:
        """The rules that a policy gives, with the platform's patience where it names none."""
        seconds = policy.patience_seconds
        return cls(
            policy=policy.name,
            heartbeat_interval_seconds=policy.heartbeat_interval_seconds,
            patience_seconds=default_patience.total_seconds() if seconds is None else seconds,
            monitoring_starts=policy.monitoring_starts,
            on_lapse=policy.on_lapse,
            resurrection=policy.resurrection,
        )

    @property
    def patience(self) -> timedelta:
        """Silence after which it lapses."""
        return timedelta(seconds=self.patience_seconds)

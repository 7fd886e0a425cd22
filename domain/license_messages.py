"""What others may tell us about licenses. Each message is a change; who made it and why may stand in its data."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from domain.license import MOST_ENTITLEMENTS
from domain.license_policy import (
    Expiry,
    LicensePolicy,
    MonitoringStart,
    OnLapse,
    Overage,
    Resurrection,
)
from domain.message_data import Email, Id, MessageData, Moment, Seconds, Text, TimedData

Actor = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=255,
        description="who is answerable, 1 to 255 characters; without it the attribute `actor`, or else `source`",
    ),
]
Holder = Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="whose it is, 1 to 200 characters")]
Seats = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
PolicyName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Entitlements = Annotated[
    tuple[Id, ...], msgspec.Meta(max_length=MOST_ENTITLEMENTS, description="names, none of them twice; at most 100")
]


class LicensePolicyData(MessageData, frozen=True, kw_only=True):
    """A license's policy in full; what is left out has its default."""

    name: PolicyName = "default"
    heartbeat_interval_seconds: Seconds = 60.0
    patience_seconds: Seconds | None = None
    monitoring_starts: MonitoringStart = MonitoringStart.CREATION
    on_lapse: OnLapse = OnLapse.END
    resurrection: Resurrection = Resurrection.TEN_MINUTES
    expiry: Expiry = Expiry.RESTRICT
    overage: Overage = Overage.NONE

    def policy(self, **changes: Any) -> LicensePolicy:
        """The policy that it says, with ``changes``."""
        return LicensePolicy(**{**msgspec.structs.asdict(self), **changes})


class LicenseChangeData(TimedData, frozen=True, kw_only=True):
    """What every message about a license says, or may say."""

    license_id: Id
    actor: Actor | None = None
    reason: Text | None = None


class LicenseIssuedData(LicenseChangeData, frozen=True, kw_only=True):
    """A license was issued. `patience_seconds` is what there was before policies, and stands for that of its policy."""

    valid_until: Moment
    holder: Holder | None = None
    holder_email: Email | None = None
    seats: Seats | None = None
    patience_seconds: Seconds | None = None
    policy: LicensePolicyData = LicensePolicyData()
    entitlements: Entitlements = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience_seconds is not None and self.policy.patience_seconds not in {None, self.patience_seconds}:
            raise ValueError("patience_seconds: the policy says another one; one of the two is enough")
        if twice := sorted({each for each in self.entitlements if self.entitlements.count(each) > 1}):
            raise ValueError(f"entitlements: {', '.join(twice)} named more than once")

    def policy_in_full(self) -> LicensePolicy:
        """Its policy, with the patience wherever it was said."""
        return self.policy.policy(patience_seconds=self.patience_seconds or self.policy.patience_seconds)


class LicenseRenewedData(LicenseChangeData, frozen=True, kw_only=True):
    """A license's term was extended."""

    valid_until: Moment


class LicenseReasonData(LicenseChangeData, frozen=True, kw_only=True):
    """A license was suspended, reinstated or revoked."""

    reason: Text


class LicenseTransferredData(LicenseChangeData, frozen=True, kw_only=True):
    """A license has another holder. Notices go to the holder's address from now on; without one, nowhere."""

    holder: Holder
    holder_email: Email | None = None


class LicensePolicyChangedData(LicenseChangeData, frozen=True, kw_only=True):
    """Other rules hold for a license, all of those that are stated here; what is left out has its default."""

    policy: LicensePolicyData


class LicenseSeatsChangedData(LicenseChangeData, frozen=True, kw_only=True):
    """A license is meant for more or fewer sessions at once; `null`: for any number."""

    seats: Seats | None


class LicenseEntitlementData(LicenseChangeData, frozen=True, kw_only=True):
    """An entitlement was attached to a license or detached from it."""

    entitlement: Id


LICENSE_MESSAGES: Final[dict[str, type[LicenseChangeData]]] = {
    "license.issued": LicenseIssuedData,
    "license.renewed": LicenseRenewedData,
    "license.suspended": LicenseReasonData,
    "license.reinstated": LicenseReasonData,
    "license.revoked": LicenseReasonData,
    "license.transferred": LicenseTransferredData,
    "license.policy_changed": LicensePolicyChangedData,
    "license.seats_changed": LicenseSeatsChangedData,
    "license.entitlement_attached": LicenseEntitlementData,
    "license.entitlement_detached": LicenseEntitlementData,
}
"""By the type of the message."""

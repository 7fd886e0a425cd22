"""Changes of licenses: from what we are told to what a license decides about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from domain.license import License
from domain.license_messages import (
    LicenseEntitlementData,
    LicenseIssuedData,
    LicensePolicyChangedData,
    LicenseReasonData,
    LicenseRenewedData,
    LicenseSeatsChangedData,
    LicenseTransferredData,
)


def issue(data: LicenseIssuedData, at: datetime) -> License:
    """A new license with what it entitles to.

    Raises:
        TermEnded: its term would end before it begins.
    """
    issued = License.issue(
        data.license_id,
        valid_until=data.valid_until,
        at=at,
        holder=data.holder,
        holder_email=data.holder_email,
        seats=data.seats,
        policy=data.policy_in_full(),
        reason=data.reason,
    )
    for entitlement in data.entitlements:
        issued.attach(entitlement, at=at, reason=data.reason)
    return issued


def _renew(found: License, data: LicenseRenewedData, at: datetime) -> None:
    found.renew(valid_until=data.valid_until, at=at, reason=data.reason)


def _suspend(found: License, data: LicenseReasonData, at: datetime) -> None:
    found.suspend(reason=data.reason, at=at)


def _reinstate(found: License, data: LicenseReasonData, at: datetime) -> None:
    found.reinstate(reason=data.reason, at=at)


def _revoke(found: License, data: LicenseReasonData, at: datetime) -> None:
    found.revoke(reason=data.reason, at=at)


def _transfer(found: License, data: LicenseTransferredData, at: datetime) -> None:
    found.transfer(holder=data.holder, holder_email=data.holder_email, at=at, reason=data.reason)


def _change_policy(found: License, data: LicensePolicyChangedData, at: datetime) -> None:
    found.change_policy(data.policy.policy(), at=at, reason=data.reason)


def _change_seats(found: License, data: LicenseSeatsChangedData, at: datetime) -> None:
    found.change_seats(data.seats, at=at, reason=data.reason)


def _attach(found: License, data: LicenseEntitlementData, at: datetime) -> None:
    found.attach(data.entitlement, at=at, reason=data.reason)


def _detach(found: License, data: LicenseEntitlementData, at: datetime) -> None:
    found.detach(data.entitlement, at=at, reason=data.reason)


CHANGES: Final[dict[str, Callable[[License, Any, datetime], None]]] = {
    "license.renewed": _renew,
    "license.suspended": _suspend,
    "license.reinstated": _reinstate,
    "license.revoked": _revoke,
    "license.transferred": _transfer,
    "license.policy_changed": _change_policy,
    "license.seats_changed": _change_seats,
    "license.entitlement_attached": _attach,
    "license.entitlement_detached": _detach,
}
"""By the type of the message: a change to a license that there is, from its data and the time it occurred."""

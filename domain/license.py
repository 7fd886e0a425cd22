"""Licenses: the right to hold sessions, for a term and under a policy."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final, Self

from domain.license_events import (
    LicenseEntitlementAttached,
    LicenseEntitlementDetached,
    LicenseIssued,
    LicenseNoticeSent,
    LicensePolicyChanged,
    LicenseSeatsChanged,
    LicenseTransferred,
)
from domain.license_policy import DEFAULT, LicensePolicy
from domain.license_refusals import (
    EntitlementAlreadyAttached,
    EntitlementNotAttached,
    LicenseUnchanged,
    TermEnded,
    TooManyEntitlements,
)
from domain.license_standing import LicenseStanding

MOST_ENTITLEMENTS: Final = 100
"""So many a license can have; each fact about one says all of them twice."""


def license_stream(license_id: str) -> str:
    """Stream of the license that services call ``license_id``."""
    return f"license-{license_id}"


class License(LicenseStanding):
    """A license from its issue to its end."""

    TOPIC: ClassVar[str] = "license"

    if TYPE_CHECKING:  # the library would make a dataclass of annotations; the first event assigns these
        license_id: str
        holder: str | None
        holder_email: str | None
        seats: int | None
        entitlements: tuple[str, ...]
        notices_sent: set[str]

    @classmethod
    def issue(
        cls,
        license_id: str,
        *,
        valid_until: datetime,
        at: datetime,
        holder: str | None = None,
        holder_email: str | None = None,
        seats: int | None = None,
        policy: LicensePolicy = DEFAULT,
        reason: str | None = None,
    ) -> Self:
        """Issue a license that entitles to nothing in particular yet.

        Args:
            license_id: what services call it.
            valid_until: end of the term.
            at: when it was issued.
            holder: whose it is, as services call them.
            holder_email: where notices about it go, if anywhere.
            seats: sessions it is meant for at once, if limited.
            policy: the rules it lives under.
            reason: why it was issued, if anybody says.

        Raises:
            TermEnded: the term would end before it begins.
        """
        if valid_until <= at:
            raise TermEnded(license_stream(license_id), valid_until=valid_until, begins=at)
        return cls.begin(
            LicenseIssued,
            stream_id=license_stream(license_id),
            at=at,
            license_id=license_id,
            holder=holder,
            holder_email=holder_email,
            seats=seats,
            valid_until=valid_until,
            policy=policy,
            reason=reason,
        )

    def transfer(
        self, *, holder: str | None, holder_email: str | None, at: datetime, reason: str | None = None
    ) -> None:
        """Give the license to another holder, who is told about it from now on.

        Raises:
            LicenseRevoked: it was revoked.
            LicenseUnchanged: the holder and the address are these already.
        """
        self.refuse_if_revoked()
        if (holder, holder_email) == (self.holder, self.holder_email):
            raise LicenseUnchanged(self.id, what="holder", value=f"{holder} ({holder_email})")
        self.record(
            LicenseTransferred,
            at=at,
            holder=holder,
            holder_email=holder_email,
            previous_holder=self.holder,
            previous_holder_email=self.holder_email,
            reason=reason,
        )

    def change_policy(self, policy: LicensePolicy, *, at: datetime, reason: str | None = None) -> None:
        """Put the license under other rules, in full.

        Raises:
            LicenseRevoked: it was revoked.
            LicenseUnchanged: it has this very policy.
        """
        self.refuse_if_revoked()
        if policy == self.policy:
            raise LicenseUnchanged(self.id, what="policy", value=policy)
        changed = {"policy": policy, "previous_policy": self.policy, "reason": reason}
        self.record(LicensePolicyChanged, at=at, state=self.state, **changed)

    def change_seats(self, seats: int | None, *, at: datetime, reason: str | None = None) -> None:
        """Change how many sessions it is meant for at once; None: any number.

        Raises:
            LicenseRevoked: it was revoked.
            LicenseUnchanged: it has as many.
        """
        self.refuse_if_revoked()
        if seats == self.seats:
            raise LicenseUnchanged(self.id, what="number of seats", value="unlimited" if seats is None else seats)
        self.record(LicenseSeatsChanged, at=at, seats=seats, previous_seats=self.seats, reason=reason)

    def attach(self, entitlement: str, *, at: datetime, reason: str | None = None) -> None:
        """Entitle to something more.

        Raises:
            LicenseRevoked: it was revoked.
            EntitlementAlreadyAttached: it has this entitlement.
            TooManyEntitlements: it has :data:`MOST_ENTITLEMENTS`.
        """
        self.refuse_if_revoked()
        if entitlement in self.entitlements:
            raise EntitlementAlreadyAttached(self.id, entitlement=entitlement)
        if len(self.entitlements) >= MOST_ENTITLEMENTS:
            raise TooManyEntitlements(self.id, most=MOST_ENTITLEMENTS, entitlement=entitlement)
        after = tuple(sorted((*self.entitlements, entitlement)))
        said = {"entitlements": after, "previous_entitlements": self.entitlements, "reason": reason}
        self.record(LicenseEntitlementAttached, at=at, entitlement=entitlement, **said)

    def detach(self, entitlement: str, *, at: datetime, reason: str | None = None) -> None:
        """Entitle to something no longer.

        Raises:
            LicenseRevoked: it was revoked.
            EntitlementNotAttached: it does not have this entitlement.
        """
        self.refuse_if_revoked()
        if entitlement not in self.entitlements:
            attached = ", ".join(self.entitlements) or "none"
            raise EntitlementNotAttached(self.id, entitlement=entitlement, attached=attached)
        after = tuple(each for each in self.entitlements if each != entitlement)
        said = {"entitlements": after, "previous_entitlements": self.entitlements, "reason": reason}
        self.record(LicenseEntitlementDetached, at=at, entitlement=entitlement, **said)

    def record_notice(self, notice_id: str, *, recipient: str, at: datetime) -> bool:
        """Remember that a notice went out; False where it had gone out before."""
        if notice_id in self.notices_sent:
            return False
        self.record(LicenseNoticeSent, at=at, notice_id=notice_id, recipient=recipient)
        return True

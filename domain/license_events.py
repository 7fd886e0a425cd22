"""What happens to a license. What people decide says how it was before, and why where anybody said so."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from domain.aggregate import Created, Event
from domain.license_policy import Expiry, LicensePolicy
from domain.license_state import LicenseState

if TYPE_CHECKING:
    from domain.license import License


class LicenseIssued(Created, frozen=True, kw_only=True):
    """A license came into being."""

    TOPIC: ClassVar[str] = "license.issued"
    class_version: ClassVar[int] = 2
    license_id: str
    holder: str | None
    holder_email: str | None
    seats: int | None
    valid_until: datetime
    policy: LicensePolicy
    reason: str | None

    @staticmethod
    def upcast_v1_v2(data: dict[str, Any]) -> None:
        """Version 1 said `patience_seconds` and nothing else of a policy; the rest is as of the policy `default`."""
        data["policy"] = {"patience_seconds": data.pop("patience_seconds")}
        data["holder"] = data["reason"] = None

    def apply(self, aggregate: License) -> None:
        """Assign the terms."""
        aggregate.license_id = self.license_id
        aggregate.holder = self.holder
        aggregate.holder_email = self.holder_email
        aggregate.seats = self.seats
        aggregate.policy = self.policy
        aggregate.entitlements = ()
        aggregate.state = LicenseState.ACTIVE
        aggregate.is_suspended = False
        aggregate.notices_sent = set()
        _begin_term(aggregate, self.valid_until, self.timestamp)


class StateChange(Event, frozen=True, kw_only=True):
    """A fact after which a license may stand elsewhere; neither state is said by facts of before they were kept."""

    state: LicenseState | None = None
    previous_state: LicenseState | None = None


class LicenseRenewed(StateChange, frozen=True, kw_only=True):
    """The term was extended."""

    TOPIC: ClassVar[str] = "license.renewed"
    valid_until: datetime
    previous_valid_until: datetime
    reason: str | None = None

    def apply(self, aggregate: License) -> None:
        """Begin the new term; suspension outlasts a renewal, expiry does not."""
        if aggregate.state is LicenseState.EXPIRED:
            aggregate.state = LicenseState.SUSPENDED if aggregate.is_suspended else LicenseState.ACTIVE
        _begin_term(aggregate, self.valid_until, self.timestamp)


class LicenseSuspended(StateChange, frozen=True, kw_only=True):
    """The license admits no session until it is reinstated; an expired one is still called expired."""

    TOPIC: ClassVar[str] = "license.suspended"
    reason: str

    def apply(self, aggregate: License) -> None:
        """Assign the state, and remember it beyond an expiry."""
        aggregate.is_suspended = True
        if aggregate.state is LicenseState.ACTIVE:
            aggregate.state = LicenseState.SUSPENDED


class LicenseReinstated(StateChange, frozen=True, kw_only=True):
    """The suspension is over."""

    TOPIC: ClassVar[str] = "license.reinstated"
    reason: str

    def apply(self, aggregate: License) -> None:
        """Assign the state; an expiry stays."""
        aggregate.is_suspended = False
        if aggregate.state is LicenseState.SUSPENDED:
            aggregate.state = LicenseState.ACTIVE


class LicenseRevokedForGood(StateChange, frozen=True, kw_only=True):
    """The license was withdrawn for good."""

    TOPIC: ClassVar[str] = "license.revoked"
    reason: str

    def apply(self, aggregate: License) -> None:
        """Assign the state."""
        aggregate.state = LicenseState.REVOKED


class LicenseTransferred(Event, frozen=True, kw_only=True):
    """Somebody else holds the license now, and is told about it from now on."""

    TOPIC: ClassVar[str] = "license.transferred"
    holder: str | None
    holder_email: str | None
    previous_holder: str | None
    previous_holder_email: str | None
    reason: str | None

    def apply(self, aggregate: License) -> None:
        """Assign the holder."""
        aggregate.holder = self.holder
        aggregate.holder_email = self.holder_email


class LicensePolicyChanged(Event, frozen=True, kw_only=True):
    """Other rules hold for the license; ``state`` is where it stood."""

    TOPIC: ClassVar[str] = "license.policy_changed"
    policy: LicensePolicy
    previous_policy: LicensePolicy
    state: LicenseState
    reason: str | None

    def apply(self, aggregate: License) -> None:
        """Assign the rules."""
        aggregate.policy = self.policy


class LicenseSeatsChanged(Event, frozen=True, kw_only=True):
    """The license is meant for more or fewer sessions at once; null: it has no limit."""

    TOPIC: ClassVar[str] = "license.seats_changed"
    seats: int | None
    previous_seats: int | None
    reason: str | None

    def apply(self, aggregate: License) -> None:
        """Assign the seats."""
        aggregate.seats = self.seats


class EntitlementChange(Event, frozen=True, kw_only=True):
    """A fact about one entitlement; all that the license has, after and before, are in order of their names."""

    entitlement: str
    entitlements: tuple[str, ...]
    previous_entitlements: tuple[str, ...]
    reason: str | None

    def apply(self, aggregate: License) -> None:
        """Assign what the license entitles to."""
        aggregate.entitlements = self.entitlements


class LicenseEntitlementAttached(EntitlementChange, frozen=True, kw_only=True):
    """The license entitles to something more."""

    TOPIC: ClassVar[str] = "license.entitlement_attached"


class LicenseEntitlementDetached(EntitlementChange, frozen=True, kw_only=True):
    """The license no longer entitles to something."""

    TOPIC: ClassVar[str] = "license.entitlement_detached"


class LicenseExpiringSoon(Event, frozen=True, kw_only=True):
    """A notice came due: so many days of the term are left."""

    TOPIC: ClassVar[str] = "license.expiring_soon"
    days_left: int
    valid_until: datetime

    def apply(self, aggregate: License) -> None:
        """Remember it for this term."""
        aggregate.notices_due.add(self.days_left)


class LicenseExpired(StateChange, frozen=True, kw_only=True):
    """The term ended without a renewal; ``expiry`` is what the license's policy made of that."""

    TOPIC: ClassVar[str] = "license.expired"
    valid_until: datetime
    expiry: Expiry = Expiry.RESTRICT

    def apply(self, aggregate: License) -> None:
        """Assign the state."""
        aggregate.state = LicenseState.EXPIRED


class LicenseNoticeSent(Event, frozen=True, kw_only=True):
    """A notice about this license was handed to the mail server."""

    TOPIC: ClassVar[str] = "license.notice_sent"
    notice_id: str
    recipient: str

    def apply(self, aggregate: License) -> None:
        """Remember it."""
        aggregate.notices_sent.add(self.notice_id)


CALENDAR: Final = (LicenseExpiringSoon, LicenseExpired)
"""What nobody decides: time brings it."""


def _begin_term(aggregate: License, valid_until: datetime, began_at: datetime) -> None:
    aggregate.valid_until = valid_until
    aggregate.term_began_at = began_at
    aggregate.notices_due = set()

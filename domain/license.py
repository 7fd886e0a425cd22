"""Licenses: the right to hold sessions, for a term, with terms of its own about silence."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from domain.aggregate import Aggregate, Created, Event
from domain.license_policy import DEFAULT, LicensePolicy
from domain.refusal import Refusal

EXPIRY_NOTICE_DAYS: Final = (30, 7, 1)
"""How many days before the end of a term its holder is told, furthest first."""


def license_stream(license_id: str) -> str:
    """Stream of the license that services call ``license_id``."""
    return f"license-{license_id}"


class LicenseState(StrEnum):
    """Where a license stands. Only an active one admits sessions."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"


class LicenseAlreadyIssued(Refusal):
    """a license of this id has been issued before."""


class LicenseUnknown(Refusal):
    """no license of this id has been issued."""


class LicenseNotActive(Refusal):
    """the license is {state}; it has to be active for this."""


class LicenseRevoked(Refusal):
    """the license has been revoked, and that is final."""


class LicenseNotSuspended(Refusal):
    """the license is {state}; only a suspended one can be reinstated."""


class TermNotLonger(Refusal):
    """a renewal has to end after the present term ({valid_until}); asked for was {asked}."""


class TermEnded(Refusal):
    """the term ends at {valid_until}, which is before it begins at {begins}."""


class License(Aggregate):
    """A license from its issue to its end."""

    TOPIC: ClassVar[str] = "license"

    if TYPE_CHECKING:  # the library would make a dataclass of annotations; the first event assigns these
        license_id: str
        holder: str | None
        holder_email: str | None
        seats: int | None
        valid_until: datetime
        term_began_at: datetime
        policy: LicensePolicy
        state: LicenseState
        is_suspended: bool
        notices_due: set[int]
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
        """Issue a license.

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

    def renew(self, *, valid_until: datetime, at: datetime) -> None:
        """Extend the term; an expired license is active again, unless it was suspended when it expired.

        Raises:
            LicenseRevoked: it was revoked.
            TermNotLonger: the new term does not end later than the present one.
        """
        self._refuse_if_revoked()
        if valid_until <= self.valid_until:
            raise TermNotLonger(self.id, valid_until=self.valid_until, asked=valid_until)
        self.record(LicenseRenewed, at=at, valid_until=valid_until, previous_valid_until=self.valid_until)

    def suspend(self, *, reason: str, at: datetime) -> None:
        """Stop admitting sessions until reinstated.

        Raises:
            LicenseNotActive: it is not active.
        """
        if self.state is not LicenseState.ACTIVE:
            raise LicenseNotActive(self.id, state=self.state.value)
        self.record(LicenseSuspended, at=at, reason=reason)

    def reinstate(self, *, reason: str, at: datetime) -> None:
        """Admit sessions again after a suspension.

        Raises:
            LicenseNotSuspended: it is not suspended.
        """
        if self.state is not LicenseState.SUSPENDED:
            raise LicenseNotSuspended(self.id, state=self.state.value)
        self.record(LicenseReinstated, at=at, reason=reason)

    def revoke(self, *, reason: str, at: datetime) -> None:
        """End the license for good.

        Raises:
            LicenseRevoked: it was revoked before.
        """
        self._refuse_if_revoked()
        self.record(LicenseRevokedForGood, at=at, reason=reason)

    def admit_session(self, *, at: datetime) -> None:
        """Check that a session may start at a time.

        Raises:
            LicenseNotActive: suspended, revoked or expired; expired also where the term has ended by ``at`` and nobody
                has recorded it yet.
        """
        if self.state is not LicenseState.ACTIVE:
            raise LicenseNotActive(self.id, state=self.state.value)
        if self.valid_until <= at:
            raise LicenseNotActive(self.id, state=LicenseState.EXPIRED.value)

    def judge_term(self, *, now: datetime) -> None:
        """Record what the calendar has brought: notices that have come due, and the end of the term.

        Each happens once a term, with the time it truly came due, however late this is asked. A notice whose day
        was already past when the term began never comes due: the holder has just been told the date.
        """
        if self.state in {LicenseState.REVOKED, LicenseState.EXPIRED}:
            return
        for days in EXPIRY_NOTICE_DAYS:
            due_at = self.valid_until - timedelta(days=days)
            if self.term_began_at < due_at <= now and days not in self.notices_due:
                self.record(LicenseExpiringSoon, at=due_at, days_left=days, valid_until=self.valid_until)
        if self.valid_until <= now:
            self.record(LicenseExpired, at=self.valid_until, valid_until=self.valid_until)

    def record_notice(self, notice_id: str, *, recipient: str, at: datetime) -> bool:
        """Remember that a notice went out; False where it had gone out before."""
        if notice_id in self.notices_sent:
            return False
        self.record(LicenseNoticeSent, at=at, notice_id=notice_id, recipient=recipient)
        return True

    def _refuse_if_revoked(self) -> None:
        if self.state is LicenseState.REVOKED:
            raise LicenseRevoked(self.id)


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
        aggregate.state = LicenseState.ACTIVE
        aggregate.is_suspended = False
        aggregate.notices_sent = set()
        _begin_term(aggregate, self.valid_until, self.timestamp)


class LicenseRenewed(Event, frozen=True, kw_only=True):
    """The term was extended."""

    TOPIC: ClassVar[str] = "license.renewed"
    valid_until: datetime
    previous_valid_until: datetime

    def apply(self, aggregate: License) -> None:
        """Begin the new term; suspension outlasts a renewal, expiry does not."""
        if aggregate.state is LicenseState.EXPIRED:
            aggregate.state = LicenseState.SUSPENDED if aggregate.is_suspended else LicenseState.ACTIVE
        _begin_term(aggregate, self.valid_until, self.timestamp)


class LicenseSuspended(Event, frozen=True, kw_only=True):
    """The license admits no session until it is reinstated."""

    TOPIC: ClassVar[str] = "license.suspended"
    reason: str

    def apply(self, aggregate: License) -> None:
        """Assign the state, and remember it beyond an expiry."""
        aggregate.state = LicenseState.SUSPENDED
        aggregate.is_suspended = True


class LicenseReinstated(Event, frozen=True, kw_only=True):
    """The suspension is over."""

    TOPIC: ClassVar[str] = "license.reinstated"
    reason: str

    def apply(self, aggregate: License) -> None:
        """Assign the state."""
        aggregate.state = LicenseState.ACTIVE
        aggregate.is_suspended = False


class LicenseRevokedForGood(Event, frozen=True, kw_only=True):
    """The license was withdrawn for good."""

    TOPIC: ClassVar[str] = "license.revoked"
    reason: str

    def apply(self, aggregate: License) -> None:
        """Assign the state."""
        aggregate.state = LicenseState.REVOKED


class LicenseExpiringSoon(Event, frozen=True, kw_only=True):
    """A notice came due: so many days of the term are left."""

    TOPIC: ClassVar[str] = "license.expiring_soon"
    days_left: int
    valid_until: datetime

    def apply(self, aggregate: License) -> None:
        """Remember it for this term."""
        aggregate.notices_due.add(self.days_left)


class LicenseExpired(Event, frozen=True, kw_only=True):
    """The term ended without a renewal."""

    TOPIC: ClassVar[str] = "license.expired"
    valid_until: datetime

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


def _begin_term(aggregate: License, valid_until: datetime, began_at: datetime) -> None:
    aggregate.valid_until = valid_until
    aggregate.term_began_at = began_at
    aggregate.notices_due = set()

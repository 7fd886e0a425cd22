"""Where a license stands: its term, what the calendar makes of it, and what people decide about its use.

That follows from three things: revocation is final; the end of the term is recorded as a fact; a suspension lasts until
it is lifted, also through an expiry and a renewal. So no decision depends on whether anybody has looked at the calendar
before it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from domain.aggregate import Aggregate
from domain.license_events import (
    LicenseExpired,
    LicenseExpiringSoon,
    LicenseReinstated,
    LicenseRenewed,
    LicenseRevokedForGood,
    LicenseSuspended,
)
from domain.license_policy import Expiry, LicensePolicy
from domain.license_refusals import LicenseNotActive, LicenseNotSuspended, LicenseRevoked, TermNotLonger
from domain.license_state import LicenseState
from domain.license_term import notices_of_term


class LicenseStanding(Aggregate):
    """What :class:`domain.license.License` is as far as its use goes."""

    if TYPE_CHECKING:  # the library would make a dataclass of annotations; the first event assigns these
        valid_until: datetime
        term_began_at: datetime
        policy: LicensePolicy
        state: LicenseState
        is_suspended: bool
        notices_due: set[int]

    def renew(self, *, valid_until: datetime, at: datetime, reason: str | None = None) -> None:
        """Extend the term; an expired license is active again, unless it is suspended.

        What the calendar had brought by then is recorded first, should nobody have looked: the old term's notices and
        its end are facts that a renewal does not undo. A term can be extended, never shortened.

        Raises:
            LicenseRevoked: it was revoked.
            TermNotLonger: the new term does not end later than the present one.
        """
        self.refuse_if_revoked()
        if valid_until <= self.valid_until:
            raise TermNotLonger(self.id, valid_until=self.valid_until, asked=valid_until)
        self.judge_term(now=at)
        renewed = {"valid_until": valid_until, "previous_valid_until": self.valid_until, "reason": reason}
        back = LicenseState.SUSPENDED if self.is_suspended else LicenseState.ACTIVE
        self.record(LicenseRenewed, at=at, state=back, previous_state=self.state, **renewed)

    def suspend(self, *, reason: str, at: datetime) -> None:
        """Admit nothing until reinstated.

        Raises:
            LicenseNotActive: it is suspended or revoked.
        """
        if self.is_suspended or self.state is LicenseState.REVOKED:
            state = LicenseState.REVOKED if self.state is LicenseState.REVOKED else LicenseState.SUSPENDED
            raise LicenseNotActive(self.id, state=state.value)
        suspended = LicenseState.SUSPENDED if self.state is LicenseState.ACTIVE else self.state
        self.record(LicenseSuspended, at=at, reason=reason, state=suspended, previous_state=self.state)

    def reinstate(self, *, reason: str, at: datetime) -> None:
        """Lift the suspension.

        Raises:
            LicenseNotSuspended: it is not suspended, or revoked.
        """
        if not self.is_suspended or self.state is LicenseState.REVOKED:
            raise LicenseNotSuspended(self.id, state=self.state.value)
        back = LicenseState.ACTIVE if self.state is LicenseState.SUSPENDED else self.state
        self.record(LicenseReinstated, at=at, reason=reason, state=back, previous_state=self.state)

    def revoke(self, *, reason: str, at: datetime) -> None:
        """End the license for good.

        Raises:
            LicenseRevoked: it was revoked before.
        """
        self.refuse_if_revoked()
        revoked = LicenseState.REVOKED
        self.record(LicenseRevokedForGood, at=at, reason=reason, state=revoked, previous_state=self.state)

    def barred_as(self, *, at: datetime) -> LicenseState | None:
        """The state for which it admits neither sessions nor work at a time; None: it admits.

        Expired counts from the end of the term on, whether or not anybody has recorded it yet, and not under a policy
        that maintains access.
        """
        if self.state is LicenseState.REVOKED:
            return LicenseState.REVOKED
        if self.is_suspended:
            return LicenseState.SUSPENDED
        has_ended = self.state is LicenseState.EXPIRED or self.valid_until <= at
        return LicenseState.EXPIRED if has_ended and self.policy.expiry is not Expiry.MAINTAIN else None

    @property
    def ends_its_use(self) -> bool:
        """Whether nothing under it may be open: it is revoked, or expired under a policy that ends its use then."""
        has_ended = self.state is LicenseState.EXPIRED and self.policy.expiry is Expiry.REVOKE
        return has_ended or self.state is LicenseState.REVOKED

    def admit_session(self, *, at: datetime) -> None:
        """Check that a session may start at a time.

        Raises:
            LicenseNotActive: it is suspended, revoked or expired; see :meth:`barred_as`.
        """
        barred = self.barred_as(at=at)
        if barred is not None:
            raise LicenseNotActive(self.id, state=barred.value)

    def judge_term(self, *, now: datetime) -> None:
        """Record what the calendar has brought: notices that have come due, and the end of the term.

        Each happens once a term, with the time it truly came due, however late this is asked.
        """
        if self.state in {LicenseState.REVOKED, LicenseState.EXPIRED}:
            return
        for days, due_at in notices_of_term(began_at=self.term_began_at, valid_until=self.valid_until):
            if due_at <= now and days not in self.notices_due:
                self.record(LicenseExpiringSoon, at=due_at, days_left=days, valid_until=self.valid_until)
        if self.valid_until <= now:
            said = {"valid_until": self.valid_until, "expiry": self.policy.expiry}
            expired = LicenseState.EXPIRED
            self.record(LicenseExpired, at=self.valid_until, state=expired, previous_state=self.state, **said)

    def refuse_if_revoked(self) -> None:
        """Nothing about a revoked license changes any more.

        Raises:
            LicenseRevoked: it was revoked.
        """
        if self.state is LicenseState.REVOKED:
            raise LicenseRevoked(self.id)

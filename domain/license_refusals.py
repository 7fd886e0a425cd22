"""What a license refuses."""

from __future__ import annotations

from domain.refusal import Refusal


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


class LicenseUnchanged(Refusal):
    """the license has this already: {what} is {value}."""


class TermNotLonger(Refusal):
    """a renewal has to end after the present term ({valid_until}); asked for was {asked}."""


class TermEnded(Refusal):
    """the term ends at {valid_until}, which is before it begins at {begins}."""


class EntitlementAlreadyAttached(Refusal):
    """the license has the entitlement {entitlement} already."""


class EntitlementNotAttached(Refusal):
    """the license does not have the entitlement {entitlement}; it has {attached}."""


class TooManyEntitlements(Refusal):
    """a license has at most {most} entitlements; detach one before {entitlement} is attached."""

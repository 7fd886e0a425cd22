"""Licenses: where does each license stand, and when does something come due?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.license_events import (
    EntitlementChange,
    LicenseEntitlementAttached,
    LicenseEntitlementDetached,
    LicenseExpired,
    LicenseExpiringSoon,
    LicenseIssued,
    LicenseNoticeSent,
    LicensePolicyChanged,
    LicenseReinstated,
    LicenseRenewed,
    LicenseRevokedForGood,
    LicenseSeatsChanged,
    LicenseSuspended,
    LicenseTransferred,
)
from domain.license_state import LicenseState
from domain.license_term import notices_of_term
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key

_FINAL = (LicenseState.REVOKED, LicenseState.EXPIRED)


class LicenseRow(msgspec.Struct):
    """A row of ``read_model.licenses``."""

    license_id: str
    state: str | None = None
    state_reason: str | None = None
    state_changed_at: datetime | None = None
    suspended_because: str | None = None
    holder_email: str | None = None
    seats: int | None = None
    patience_seconds: float | None = None
    issued_at: datetime | None = None
    term_began_at: datetime | None = None
    valid_until: datetime | None = None
    renewals: int = 0
    last_notice_days: int | None = None
    next_due_at: datetime | None = None
    notices_sent: int = 0
    last_notice_sent_at: datetime | None = None
    holder: str | None = None
    policy: str | None = None
    heartbeat_interval_seconds: float | None = None
    monitoring_starts: str | None = None
    on_lapse: str | None = None
    resurrection: str | None = None
    expiry: str | None = None
    overage: str | None = None
    entitlements: str | None = None


class Licenses(Fold[LicenseRow]):
    """One row per license. Its stream is in order of version, so each event simply follows the one before."""

    name = "licenses"
    question = "Where does each license stand, and when does something come due?"
    follows: ClassVar = {
        Log.LICENSING: tuple(
            event.TOPIC
            for event in (
                LicenseIssued,
                LicenseRenewed,
                LicenseSuspended,
                LicenseReinstated,
                LicenseRevokedForGood,
                LicenseTransferred,
                LicensePolicyChanged,
                LicenseSeatsChanged,
                LicenseEntitlementAttached,
                LicenseEntitlementDetached,
                LicenseExpiringSoon,
                LicenseExpired,
                LicenseNoticeSent,
            )
        )
    }
    begun_by: ClassVar = (LicenseIssued.TOPIC,)
    table: ClassVar[sa.Table] = tables.LICENSES
    shape = LicenseRow

    def key(self, event: Event) -> Key:
        """The license."""
        return (event.originator_id.removeprefix("license-"),)

    def fold(self, row: LicenseRow, recorded: Recorded) -> None:
        """Follow the license by one event."""
        for follow in (_agree, _begin_term, _stand, _notify):
            follow(row, recorded.event)
        row.next_due_at = _next_due_at(row)


def _agree(row: LicenseRow, event: Event) -> None:
    """What was agreed about the license."""
    match event:
        case LicenseIssued():
            row.holder, row.holder_email, row.seats = event.holder, event.holder_email, event.seats
            row.issued_at = event.timestamp
        case LicenseTransferred():
            row.holder, row.holder_email = event.holder, event.holder_email
        case LicenseSeatsChanged():
            row.seats = event.seats
        case EntitlementChange():
            row.entitlements = ",".join(event.entitlements) or None
    if isinstance(event, LicenseIssued | LicensePolicyChanged):
        rules = msgspec.to_builtins(event.policy)
        row.policy = rules.pop("name")
        for rule, value in rules.items():
            setattr(row, rule, value)


def _begin_term(row: LicenseRow, event: Event) -> None:
    if isinstance(event, LicenseIssued | LicenseRenewed):
        row.renewals += isinstance(event, LicenseRenewed)
        row.term_began_at, row.valid_until, row.last_notice_days = event.timestamp, event.valid_until, None


def _stand(row: LicenseRow, event: Event) -> None:
    """Where it stands: an expired license stays so whatever becomes of its suspension."""
    match event:
        case LicenseIssued():
            _change(row, LicenseState.ACTIVE, event.timestamp, event.reason)
        case LicenseSuspended():
            row.suspended_because = event.reason
            if row.state == LicenseState.ACTIVE:
                _change(row, LicenseState.SUSPENDED, event.timestamp, event.reason)
        case LicenseReinstated():
            row.suspended_because = None
            if row.state == LicenseState.SUSPENDED:
                _change(row, LicenseState.ACTIVE, event.timestamp, event.reason)
        case LicenseRevokedForGood():
            _change(row, LicenseState.REVOKED, event.timestamp, event.reason)
        case LicenseExpired():
            _change(row, LicenseState.EXPIRED, event.timestamp)
        case LicenseRenewed() if row.state == LicenseState.EXPIRED:
            back = LicenseState.ACTIVE if row.suspended_because is None else LicenseState.SUSPENDED
            _change(row, back, event.timestamp, row.suspended_because)


def _notify(row: LicenseRow, event: Event) -> None:
    match event:
        case LicenseExpiringSoon():
            row.last_notice_days = event.days_left
        case LicenseNoticeSent():
            row.notices_sent += 1
            row.last_notice_sent_at = event.timestamp


def _change(row: LicenseRow, state: LicenseState, at: datetime, reason: str | None = None) -> None:
    row.state, row.state_changed_at, row.state_reason = state.value, at, reason


def _next_due_at(row: LicenseRow) -> datetime | None:
    """When the license next has something to say about its term: a notice, or its end.

    The domain judges notices furthest first, so those that have come due are the ones down to ``last_notice_days``.
    """
    if row.state in _FINAL or row.valid_until is None or row.term_began_at is None:
        return None
    for days, due_at in notices_of_term(began_at=row.term_began_at, valid_until=row.valid_until):
        if row.last_notice_days is None or days < row.last_notice_days:
            return due_at
    return row.valid_until

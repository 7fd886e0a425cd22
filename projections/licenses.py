"""Licenses: where does each license stand, and when does something come due?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.license_events import (
    LicenseExpired,
    LicenseExpiringSoon,
    LicenseIssued,
    LicenseNoticeSent,
    LicenseReinstated,
    LicenseRenewed,
    LicenseRevokedForGood,
    LicenseSuspended,
)
from domain.license_state import LicenseState
from domain.license_term import EXPIRY_NOTICE_DAYS
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
                LicenseExpiringSoon,
                LicenseExpired,
                LicenseNoticeSent,
            )
        )
    }
    table: ClassVar[sa.Table] = tables.LICENSES
    shape = LicenseRow

    def key(self, event: Event) -> Key:
        """The license."""
        return (event.originator_id.removeprefix("license-"),)

    def fold(self, row: LicenseRow, recorded: Recorded) -> None:
        """Follow the license by one event."""
        event = recorded.event
        match event:
            case LicenseIssued():
                row.issued_at = event.timestamp
                row.holder_email, row.seats = event.holder_email, event.seats
                row.patience_seconds = event.policy.patience_seconds
                _begin_term(row, event.timestamp, event.valid_until)
                _change(row, LicenseState.ACTIVE, event.timestamp)
            case LicenseRenewed():
                row.renewals += 1
                _begin_term(row, event.timestamp, event.valid_until)
                if row.state == LicenseState.EXPIRED:
                    back = LicenseState.ACTIVE if row.suspended_because is None else LicenseState.SUSPENDED
                    _change(row, back, event.timestamp, row.suspended_because)
            case LicenseSuspended():
                row.suspended_because = event.reason
                _change(row, LicenseState.SUSPENDED, event.timestamp, event.reason)
            case LicenseReinstated():
                row.suspended_because = None
                _change(row, LicenseState.ACTIVE, event.timestamp, event.reason)
            case LicenseRevokedForGood():
                _change(row, LicenseState.REVOKED, event.timestamp, event.reason)
            case LicenseExpiringSoon():
                row.last_notice_days = event.days_left
            case LicenseExpired():
                _change(row, LicenseState.EXPIRED, event.timestamp)
            case LicenseNoticeSent():
                row.notices_sent += 1
                row.last_notice_sent_at = event.timestamp
        row.next_due_at = _next_due_at(row)


def _begin_term(row: LicenseRow, began_at: datetime, valid_until: datetime) -> None:
    row.term_began_at, row.valid_until, row.last_notice_days = began_at, valid_until, None


def _change(row: LicenseRow, state: LicenseState, at: datetime, reason: str | None = None) -> None:
    row.state, row.state_changed_at, row.state_reason = state.value, at, reason


def _next_due_at(row: LicenseRow) -> datetime | None:
    """When the license next has something to say about its term: a notice, or its end.

    The domain judges notices furthest first, so those that have come due are the ones down to ``last_notice_days``.
    """
    if row.state in _FINAL or row.valid_until is None or row.term_began_at is None:
        return None
    for days in EXPIRY_NOTICE_DAYS:
        due_at = row.valid_until - timedelta(days=days)
        if due_at > row.term_began_at and (row.last_notice_days is None or days < row.last_notice_days):
            return due_at
    return row.valid_until

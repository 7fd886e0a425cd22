"""Entitlements: what does a license entitle to, since when, by whom and why?"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec
import sqlalchemy as sa

from domain.aggregate import Event
from domain.license_events import EntitlementChange, LicenseEntitlementAttached, LicenseEntitlementDetached
from infra.event_store import Log, Recorded
from projections import tables
from projections.projection import Fold
from projections.rows import Key


class LicenseEntitlementRow(msgspec.Struct):
    """A row of ``read_model.license_entitlements``."""

    license_id: str
    entitlement: str
    is_attached: bool | None = None
    attached_at: datetime | None = None
    attached_by: str | None = None
    attach_reason: str | None = None
    detached_at: datetime | None = None
    detached_by: str | None = None
    detach_reason: str | None = None


class LicenseEntitlements(Fold[LicenseEntitlementRow]):
    """One row per license and entitlement that it has or has had."""

    name = "license_entitlements"
    question = "What does each license entitle to?"
    follows: ClassVar = {Log.LICENSING: (LicenseEntitlementAttached.TOPIC, LicenseEntitlementDetached.TOPIC)}
    table: ClassVar[sa.Table] = tables.LICENSE_ENTITLEMENTS
    shape = LicenseEntitlementRow

    def key(self, event: Event) -> Key:
        """The license and the entitlement."""
        return (event.originator_id.removeprefix("license-"), _change(event).entitlement)

    def fold(self, row: LicenseEntitlementRow, recorded: Recorded) -> None:
        """Note that it was attached or detached."""
        event, actor = _change(recorded.event), recorded.metadata.get("actor")
        row.is_attached = isinstance(event, LicenseEntitlementAttached)
        if row.is_attached:
            row.attached_at, row.attached_by, row.attach_reason = event.timestamp, actor, event.reason
            row.detached_at = row.detached_by = row.detach_reason = None
        else:
            row.detached_at, row.detached_by, row.detach_reason = event.timestamp, actor, event.reason


def _change(event: Event) -> EntitlementChange:
    if not isinstance(event, EntitlementChange):
        raise TypeError(f"{event.TOPIC} is about no entitlement")
    return event

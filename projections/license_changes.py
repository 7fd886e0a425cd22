"""Changes of licenses: what was it before, what after, who decided it and why?

What a value was before is what the license's last change of it left. So every change has it, also one whose fact was
recorded before facts said it themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final

import msgspec
import sqlalchemy as sa
from psycopg.sql import SQL, Identifier

from domain.aggregate import Event
from domain.license_events import (
    EntitlementChange,
    LicenseEntitlementAttached,
    LicenseEntitlementDetached,
    LicenseExpired,
    LicenseIssued,
    LicensePolicyChanged,
    LicenseReinstated,
    LicenseRenewed,
    LicenseRevokedForGood,
    LicenseSeatsChanged,
    LicenseSuspended,
    LicenseTransferred,
)
from infra.event_store import Log, Recorded
from projections import tables
from projections.rows import driver, insert, schema_of

_STATED: Final = frozenset({"valid_until", "holder", "holder_email", "seats"})
"""Fields of a license that facts about it have under the same name."""

Values = dict[str, str | None]
"""Values of a license by field, as text; a field that is missing is not known."""

_LATEST: Final = SQL("""
    select distinct on (license_id, field) license_id, field, after
    from {changes}
    where license_id = any(%s) and field <> 'entitlement'
    order by license_id, field, version desc
""")


class LicenseChangeRow(msgspec.Struct):
    """A row of ``read_model.license_changes``."""

    license_id: str
    version: int
    field: str
    change: str
    changed_at: datetime
    recorded_at: datetime
    before: str | None
    after: str | None
    actor: str | None
    reason: str | None
    event_id: str


class LicenseChanges:
    """One row per fact about a license and field that it changed; a first value had none before."""

    name = "license_changes"
    question = "What changed about each license, by whom and why?"
    follows: ClassVar = {
        Log.LICENSING: tuple(
            event.TOPIC
            for event in (
                LicenseIssued,
                LicenseRenewed,
                LicenseSuspended,
                LicenseReinstated,
                LicenseRevokedForGood,
                LicenseExpired,
                LicenseTransferred,
                LicensePolicyChanged,
                LicenseSeatsChanged,
                LicenseEntitlementAttached,
                LicenseEntitlementDetached,
            )
        )
    }
    tables: ClassVar[tuple[sa.Table, ...]] = (tables.LICENSE_CHANGES,)

    def apply(self, connection: sa.Connection, events: Sequence[Recorded]) -> None:
        """Read what the licenses' last changes left, and note what these change."""
        licenses = {_license_id(recorded.event) for recorded in events}
        known = _known(connection, licenses)
        rows = [row for recorded in events for row in _rows(recorded, known[_license_id(recorded.event)])]
        insert(connection, tables.LICENSE_CHANGES, LicenseChangeRow, rows)


def _known(connection: sa.Connection, licenses: set[str]) -> dict[str, Values]:
    known: dict[str, Values] = {license_id: {} for license_id in licenses}
    statement = _LATEST.format(changes=Identifier(schema_of(connection, tables.LICENSE_CHANGES), "license_changes"))
    for license_id, field, after in driver(connection).execute(statement, [list(licenses)]).fetchall():
        known[str(license_id)][str(field)] = None if after is None else str(after)
    return known


def _rows(recorded: Recorded, known: Values) -> Iterator[LicenseChangeRow]:
    """What an event changed; ``known`` is brought up to date."""
    event = recorded.event
    for field, (before, after) in _changed(event, known).items():
        yield LicenseChangeRow(
            license_id=_license_id(event),
            version=event.originator_version,
            field=field,
            change=event.name,
            changed_at=event.timestamp,
            recorded_at=recorded.recorded_at,
            before=before,
            after=after,
            actor=recorded.metadata.get("actor"),
            reason=getattr(event, "reason", None),
            event_id=str(recorded.event_id),
        )


def _changed(event: Event, known: Values) -> dict[str, tuple[str | None, str | None]]:
    if isinstance(event, EntitlementChange):
        was_attached = isinstance(event, LicenseEntitlementDetached)
        return {"entitlement": (event.entitlement, None) if was_attached else (None, event.entitlement)}
    changed = {
        field: (known.get(field), after) for field, after in _after(event, known).items() if known.get(field) != after
    }
    known.update({field: after for field, (_, after) in changed.items()})
    return changed


def _after(event: Event, known: Values) -> Values:
    """The values that an event leaves of the fields it is about; those that are as they were may be among them."""
    fields = [field for field in event.__struct_fields__ if field in _STATED]
    values: Values = {field: _text(getattr(event, field)) for field in fields}
    if isinstance(event, LicenseIssued | LicensePolicyChanged):
        rules = msgspec.to_builtins(event.policy)
        values |= {f"policy.{rule}": _text(value) for rule, value in rules.items()}
    if isinstance(event, LicenseIssued | LicenseSuspended | LicenseReinstated):
        values["is_suspended"] = _text(isinstance(event, LicenseSuspended))
    return {**values, "state": _state_after(event, known)}


def _state_after(event: Event, known: Values) -> str | None:
    """Where it stands after; an expired license stays so whatever becomes of its suspension."""
    suspended = known.get("is_suspended") == _text(True)
    before = known.get("state")
    match event, before:
        case LicenseIssued(), _:
            return "active"
        case LicenseRevokedForGood(), _:
            return "revoked"
        case LicenseExpired(), _:
            return "expired"
        case (LicenseSuspended(), "active") | (LicenseReinstated(), "suspended") | (LicenseRenewed(), "expired"):
            is_barred = isinstance(event, LicenseSuspended) or (suspended and isinstance(event, LicenseRenewed))
            return "suspended" if is_barred else "active"
    return before


def _text(value: object) -> str | None:
    """A value as analysts read it: moments in UTC, numbers without needless digits."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
        case float():
            return f"{value:.15g}"
    return str(value)


def _license_id(event: Event) -> str:
    return event.originator_id.removeprefix("license-")

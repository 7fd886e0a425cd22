"""Licenses for the worker's tests, recorded as ingest would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from domain.aggregate import Event
from domain.cause import Cause
from domain.license import License
from domain.license_policy import DEFAULT, LicensePolicy
from infra.event_store import EventStore, Log, caused


def now() -> datetime:
    return datetime.now(UTC)


class Licensor:
    """Issues a license and changes it; each call gives the id of the last event that it recorded."""

    def __init__(
        self,
        store: EventStore,
        *,
        license_id: str | None = None,
        policy: LicensePolicy = DEFAULT,
        term: timedelta = timedelta(days=30),
    ) -> None:
        self._store = store
        self.license_id = license_id or f"lic-{uuid4()}"
        self._license = License.issue(
            self.license_id, valid_until=now() + term, at=now() - timedelta(days=60), policy=policy
        )
        self.issued = self._record()

    def suspend(self) -> str:
        self._license.suspend(reason="unpaid", at=now())
        return self._record()

    def reinstate(self) -> str:
        self._license.reinstate(reason="paid", at=now())
        return self._record()

    def revoke(self) -> str:
        self._license.revoke(reason="terminated", at=now())
        return self._record()

    def expire(self) -> str:
        """Record what the calendar has brought: its term ended."""
        self._license.judge_term(now=now())
        return self._record()

    def _record(self) -> str:
        events = [event for event in self._license.collect_events() if isinstance(event, Event)]
        new = caused(events, Cause(id=uuid4(), at=now(), actor="test"))
        self._store.append(Log.LICENSING, new)
        return str(new[-1].event_id)

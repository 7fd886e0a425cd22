"""The usage of the latest hours is computed anew, and computing it twice changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.license import License
from domain.session import Session
from tasks.catalog import usage
from tasks.catalog.usage import aggregate_usage_metrics
from tasks.wiring import Wiring
from tests.tasks.catalog.fleet import PATIENCE, Fleet

HOUR = timedelta(hours=1)


def hourly(fleet: Fleet) -> list[Any]:
    with fleet.engine.connect() as connection:
        question = "select license_id, sessions, session_seconds, peak_concurrent_sessions from read_model.usage_hourly"
        return [tuple(row) for row in connection.exec_driver_sql(question)]


def test_usage_is_written_and_committed(fleet: Fleet, wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "wiring", lambda: wired)
    full_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 3 * HOUR
    license_ = License.issue("lic-2", valid_until=full_hour + 9 * HOUR, at=full_hour - HOUR)
    fleet.record(license_)
    for name in ("ses-1", "ses-2"):
        session = Session.start(name, under=license_, default_patience=PATIENCE, at=full_hour + timedelta(minutes=10))
        session.end(reason="signed out", at=full_hour + timedelta(minutes=40))
        fleet.record(session)
    fleet.project()
    for _ in range(2):
        result = aggregate_usage_metrics.apply(kwargs={"hours": 48}, task_id=str(uuid4())).get()
        assert (result["hours"], result["days"]) == (1, 1)
        assert hourly(fleet) == [("lic-2", 2, 3600, 2)]

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from infra.settings import Settings
from tasks.catalog import health
from tasks.catalog.health import check_platform_health
from tasks.wiring import Wiring
from tasks.worker.outcome import TEXT_LIMIT


def test_what_is_well_and_what_is_not_is_kept_as_the_result(
    platform: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "wiring", lambda: Wiring(platform))
    with capture_logs() as lines:
        told = check_platform_health.apply(task_id=str(uuid4())).get()
    assert {told["components"][name] for name in ("broker", "database")} == {"healthy"}
    assert told["status"] == "unhealthy"  # no process of the platform is up
    assert set(told["details"]) == {name for name, status in told["components"].items() if status != "healthy"}
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["the platform is not well"]
    assert len(json.dumps(told)) < TEXT_LIMIT  # so that all of it is in the log


def test_a_server_that_is_away_is_named(platform: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = SecretStr("amqp://guest:guest@127.0.0.1:9/%2F")
    impatient = {"broker_url": nowhere, "monitor_patience_seconds": 0.5}
    monkeypatch.setattr(health, "wiring", lambda: Wiring(platform.model_copy(update=impatient)))
    told = check_platform_health.apply(task_id=str(uuid4())).get()
    assert told["components"]["broker"] == "unhealthy"
    assert "127.0.0.1" in told["details"]["broker"]

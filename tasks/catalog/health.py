"""The health check: how the platform is, kept with the runs, so that it can be asked for later."""

from __future__ import annotations

import time
from typing import Any, Final

import structlog

from infra.health.component import Status
from infra.health.monitor import Monitor
from tasks.app import task
from tasks.wiring import wiring

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.health")


@task("check_platform_health")
def check_platform_health() -> dict[str, Any]:
    """Look at everything that `ledgerq status` looks at.

    What is not well is said in a warning; telling people is for the alert rules (docs/operations.md), which need no
    worker for it.

    Returns:
        ``status`` of the whole, ``components`` with the status of each, ``details`` of those that are not healthy, and
        ``duration_seconds``.
    """
    began = time.monotonic()
    with Monitor(wiring().settings) as monitor:
        monitor.wait()
        health = monitor.health()
    details = {
        name: component.detail
        for name, component in health.components.items()
        if component.status is not Status.HEALTHY
    }
    if details:
        _LOG.warning("the platform is not well", status=health.status.value, **details)
    return {
        "status": health.status.value,
        "components": {name: component.status.value for name, component in health.components.items()},
        "details": details,
        "duration_seconds": round(time.monotonic() - began, 3),
    }

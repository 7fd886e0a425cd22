"""Tasks around a step that waits."""

from __future__ import annotations

from typing import Any

from tasks.app import app
from tasks.catalog import waiting


@app.task(name="order.charge")  # type: ignore[untyped-decorator]
def charge(order: str) -> dict[str, str]:
    return {"order": order}


@app.task(name="order.ship")  # type: ignore[untyped-decorator]
def ship(came: Any) -> Any:
    return came


__all__ = ["charge", "ship", "waiting"]

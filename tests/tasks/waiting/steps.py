"""Tasks around a step that waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.app import app
from tasks.catalog import waiting


@app.task(name="order.charge")  # type: ignore[untyped-decorator]
def charge(order: str) -> dict[str, str]:
    return {"order": order}


@app.task(name="order.ship")  # type: ignore[untyped-decorator]
def ship(came: Any) -> Any:
    return came


@app.task(name="order.deliver")  # type: ignore[untyped-decorator]
def deliver(came: Any, *, road: str) -> Any:
    """Notes that it was done, and fails while there is no road."""
    with Path(f"{road}.tries").open("a") as tries:
        tries.write("x")
    if not Path(road).exists():
        raise ValueError("no road")
    return came


__all__ = ["charge", "deliver", "ship", "waiting"]

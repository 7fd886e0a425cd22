"""What there is to say about one part of the platform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a component is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """The work goes on, and somebody should look."""
    UNHEALTHY = "unhealthy"
    """Work stands still, or nobody can tell."""


@dataclass(frozen=True)
class Component:
    """One part of the platform at one moment.

    Attributes:
        status: how it is.
        detail: one line that says why, where it is not healthy.
        facts: what was seen, as values that JSON has.
        since: when the status became this, as far as whoever looks has seen it.
    """

    status: Status
    detail: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None

    def as_values(self) -> dict[str, Any]:
        """As ``/health/detailed`` tells it."""
        return {"status": self.status, "since": self.since, "detail": self.detail, **self.facts}


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of them; healthy where there is none."""
    order = list(Status)
    return max(statuses, key=order.index, default=Status.HEALTHY)


def judged(troubles: Iterable[tuple[Status, str]], facts: Mapping[str, Any]) -> Component:
    """The component that has these troubles: as bad as the worst of them, and all of them told."""
    found = list(troubles)
    return Component(worst(status for status, _ in found), "; ".join(text for _, text in found) or None, facts)

"""The monitor: all lookouts, and what they make together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from infra.health.broker import AlarmSight, BrokerSight
from infra.health.component import Component, Status, worst
from infra.health.database import DatabaseSight
from infra.health.lookout import Lookout, Sight
from infra.logs.redaction import Redactor
from infra.settings import Settings

REQUIRED: Final = ("broker", "database")
"""Components without which nothing can be taken in: the platform is not ready."""


@dataclass(frozen=True)
class Health:
    """The platform at one moment."""

    components: dict[str, Component]

    @property
    def status(self) -> Status:
        """The worst of all components."""
        return worst(component.status for component in self.components.values())

    @property
    def missing(self) -> dict[str, Component]:
        """Of the components that are required, those that are not healthy."""
        return {name: self.components[name] for name in REQUIRED if self.components[name].status is not Status.HEALTHY}

    def as_values(self) -> dict[str, Any]:
        """As ``/health/detailed`` tells it."""
        return {
            "status": self.status,
            "components": {name: component.as_values() for name, component in self.components.items()},
        }


class Monitor:
    """Looks all the time while it is open; asking it never waits.

    Args:
        settings: for the servers and for what counts as late.
    """

    def __init__(self, settings: Settings) -> None:
        sights: list[Sight] = [BrokerSight(settings), DatabaseSight(settings)]
        if settings.management_url is not None:
            sights.append(AlarmSight(settings))
        redact = Redactor(settings)
        self._patience_seconds = settings.monitor_patience_seconds
        self._lookouts: Sequence[Lookout] = [
            Lookout(
                sight,
                interval_seconds=settings.monitor_interval_seconds,
                patience_seconds=settings.monitor_patience_seconds,
                redact=redact,
            )
            for sight in sights
        ]

    def __enter__(self) -> Self:
        for lookout in self._lookouts:
            lookout.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for lookout in self._lookouts:
            lookout.stop()

    def wait(self) -> None:
        """Return once everything has been looked at, or has not answered within the patience."""
        deadline = time.monotonic() + self._patience_seconds + 0.1
        for lookout in self._lookouts:
            lookout.has_looked.wait(max(0.0, deadline - time.monotonic()))

    def health(self) -> Health:
        """What was seen last."""
        return Health({name: found for lookout in self._lookouts for name, found in lookout.components().items()})

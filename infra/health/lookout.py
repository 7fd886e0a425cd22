"""A lookout: looks at one server again and again, on a thread of its own, and knows what it saw last.

Nobody who asks ever waits for a server, and however many ask, a server that hangs has one look waiting for it and no
more: that look's own silence is what there is to tell then.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import ClassVar, Final

import structlog

from infra.broker.errors import BrokerError
from infra.database import DatabaseUnreachableError
from infra.health.component import Component, Status

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.monitor")

AWAY: Final = (BrokerError, DatabaseUnreachableError)
"""What a look may raise; its text is told."""


class Sight(ABC):
    """How one server is looked at. Used by one thread, which may wait in it for as long as the server likes."""

    names: ClassVar[Sequence[str]]
    """Components that a look tells of; the first is the server itself."""

    @abstractmethod
    def look(self) -> Mapping[str, Component]:
        """Every component of ``names`` as it is now.

        Raises:
            BrokerError, DatabaseUnreachableError: the server is away or refuses.
        """

    def close(self) -> None:
        """Let go of the connection, where there is one."""
        return


class Lookout(threading.Thread):
    """Keeps what a sight sees.

    Args:
        sight: used by this thread alone.
        interval_seconds: pause between two looks.
        patience_seconds: how long a look may take before its components count as unhealthy.
        redact: hides secrets in what errors say: a URL that cannot be read is quoted by whoever could not.
    """

    def __init__(
        self, sight: Sight, *, interval_seconds: float, patience_seconds: float, redact: Callable[[str], str]
    ) -> None:
        super().__init__(name=f"lookout {sight.names[0]}", daemon=True)
        self._sight = sight
        self._interval_seconds = interval_seconds
        self._patience_seconds = patience_seconds
        self._redact = redact
        self._closing = threading.Event()
        self._changed = threading.Lock()
        self._began: float | None = None
        self._seen: dict[str, Component] = {}
        self.has_looked = threading.Event()
        """Set once the first look has ended."""

    def run(self) -> None:
        """Look, pause, look; until stopped."""
        with closing(self._sight) as sight:
            while not self._closing.is_set():
                self._began = time.monotonic()
                seen = self._look(sight)
                with self._changed:
                    self._began = None
                    self._keep(seen)
                self.has_looked.set()
                self._closing.wait(self._interval_seconds)

    def stop(self) -> None:
        """End the thread after the look it is at; it is not waited for."""
        self._closing.set()

    def components(self) -> dict[str, Component]:
        """What was seen last, or that the server says nothing; returns at once."""
        with self._changed:
            waited = 0.0 if self._began is None else time.monotonic() - self._began
            if waited > self._patience_seconds:
                self._keep(self._all_unhealthy(f"no answer for {self._patience_seconds:g} s and more"))
            elif not self._seen:
                return self._all_unhealthy("not looked at yet")
            return dict(self._seen)

    def _look(self, sight: Sight) -> Mapping[str, Component]:
        try:
            return sight.look()
        except AWAY as error:
            return self._all_unhealthy(self._redact(" ".join(str(error).split())))
        except Exception as error:  # noqa: BLE001  a lookout that ended would tell for ever what it saw last
            _LOG.exception("health cannot be looked at", of=sight.names[0])
            return self._all_unhealthy(f"cannot be looked at: {type(error).__name__}; the monitor's log says more")

    def _all_unhealthy(self, why: str) -> dict[str, Component]:
        server, *others = self._sight.names
        unknown = Component(Status.UNHEALTHY, f"not known without the {server}")
        return {server: Component(Status.UNHEALTHY, why), **dict.fromkeys(others, unknown)}

    def _keep(self, seen: Mapping[str, Component]) -> None:
        self._seen = {name: self._since(name, component) for name, component in seen.items()}

    def _since(self, name: str, component: Component) -> Component:
        before = self._seen.get(name)
        unchanged = before is not None and before.status is component.status
        since = before.since if before is not None and unchanged else datetime.now(UTC)
        return Component(component.status, component.detail, component.facts, since)

"""The platform's own metrics: what broker, database and host say, looked up whenever somebody asks."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import psycopg
import structlog
from prometheus_client.metrics_core import GaugeMetricFamily as Family
from prometheus_client.registry import Collector

from infra.broker.errors import BrokerError
from infra.database import DatabaseUnreachableError
from infra.metrics import catalog
from infra.metrics.broker_look import BrokerLook
from infra.metrics.database_look import DatabaseLook
from infra.metrics.instruments import family
from infra.settings import Settings

WITHIN_SECONDS: Final = 8.0
"""What a look at everything may take; Prometheus waits for ten seconds by default."""
TROUBLE: Final = (BrokerError, DatabaseUnreachableError, psycopg.Error, OSError)
"""What a look may raise; its text is told. Of anything else where it came from is told too."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.metrics")

_See: TypeAlias = Callable[[Settings], Iterable[Family]]


class PlatformCollector(Collector):
    """Asks all components at once; one that does not answer is shown to be down, and said once in the log.

    Register it in a registry of prometheus-client. Each look opens connections of its own and closes them again.
    Whoever asks while one is under way gets what that one finds: a server that hangs has one look waiting for it.

    Args:
        settings: of the platform.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._components: dict[str, _See] = {
            "broker": BrokerLook(),
            "database": DatabaseLook(),
            "host": look_at_host,
        }
        self._looks: dict[str, _Look] = {}
        self._starting = threading.Lock()
        self._down: set[str] = set()

    def describe(self) -> Iterable[Family]:
        """What there may be: known without a look, so that registering needs neither broker nor database."""
        return [family(metric) for metric in catalog.PLATFORM]

    def collect(self) -> Iterable[Family]:
        """A look at everything."""
        up = family(catalog.PLATFORM_UP)
        deadline = time.monotonic() + WITHIN_SECONDS
        looks = {component: self._look(component, see) for component, see in self._components.items()}
        for component, look in looks.items():
            look.join(max(0.0, deadline - time.monotonic()))
            error = TimeoutError(f"no answer for {WITHIN_SECONDS:g} s") if look.is_alive() else look.error
            self._note(component, error)
            up.add_metric([component], float(error is None))
            if error is None:
                yield from look.found
        yield up

    def _look(self, component: str, see: _See) -> _Look:
        """The one that is under way, or a new one."""
        with self._starting:
            look = self._looks.get(component)
            if look is None or not look.is_alive():
                look = self._looks[component] = _Look(see, self._settings)
                look.start()
        return look

    def _note(self, component: str, error: Exception | None) -> None:
        if error is not None and component not in self._down:
            trace = None if isinstance(error, TROUBLE) else error
            _log.warning(
                "a component of the platform does not answer",
                component=component,
                reason=str(error) or type(error).__name__,
                exc_info=trace,
            )
            self._down.add(component)
        elif error is None and component in self._down:
            _log.info("a component of the platform answers again", component=component)
            self._down.discard(component)


class _Look(threading.Thread):
    """One look at one component; a daemon, for it waits as long as a server that hangs likes.

    Attributes:
        found: what it saw, once it has ended.
        error: why it saw nothing.
    """

    def __init__(self, see: _See, settings: Settings) -> None:
        super().__init__(name="metrics", daemon=True)
        self._see = see
        self._settings = settings
        self.found: list[Family] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.found = list(self._see(self._settings))
        except Exception as error:  # noqa: BLE001  whatever one look stumbles over, the others are shown
            self.error = error


def look_at_host(settings: Settings) -> Iterable[Family]:
    """The room on this host's disks under our directories, as far as those exist."""
    free, size = family(catalog.DISK_FREE), family(catalog.DISK_SIZE)
    for name, directory in (("state", settings.state_dir), ("archive", settings.archive_dir)):
        if directory is not None and directory.is_dir():
            usage = shutil.disk_usage(directory)
            free.add_metric([name], usage.free)
            size.add_metric([name], usage.total)
    return free, size

"""The platform's own metrics: what broker, database and host say, looked up whenever somebody asks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg
import structlog
from prometheus_client.metrics_core import GaugeMetricFamily as Family
from prometheus_client.registry import Collector

from infra.broker.errors import BrokerError
from infra.database import DatabaseUnreachableError
from infra.metrics import catalog
from infra.metrics.broker_look import look_at_broker
from infra.metrics.database_look import DatabaseLook
from infra.metrics.instruments import family
from infra.settings import Settings

TROUBLE: Final = (BrokerError, DatabaseUnreachableError, psycopg.Error, OSError)

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.metrics")


class PlatformCollector(Collector):
    """Asks all components at once; one that does not answer is shown to be down, and said once in the log.

    Register it in a registry of prometheus-client. Each look opens connections of its own and closes them again.

    Args:
        settings: of the platform.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._components: dict[str, Callable[[Settings], Iterable[Family]]] = {
            "broker": look_at_broker,
            "database": DatabaseLook(),
            "host": look_at_host,
        }
        self._down: set[str] = set()

    def describe(self) -> Iterable[Family]:
        """What there may be: known without a look, so that registering needs neither broker nor database."""
        return [family(metric) for metric in catalog.PLATFORM]

    def collect(self) -> Iterable[Family]:
        """A look at everything."""
        up = family(catalog.PLATFORM_UP)
        with ThreadPoolExecutor(len(self._components), thread_name_prefix="metrics") as pool:
            looks = {component: pool.submit(self._look, look) for component, look in self._components.items()}
        for component, looking in looks.items():
            try:
                found = looking.result()
            except TROUBLE as error:
                self._note(component, error)
                found = []
            else:
                self._note(component, None)
            up.add_metric([component], float(component not in self._down))
            yield from found
        yield up

    def _look(self, look: Callable[[Settings], Iterable[Family]]) -> list[Family]:
        return list(look(self._settings))

    def _note(self, component: str, error: Exception | None) -> None:
        if error is not None and component not in self._down:
            _log.warning("a component of the platform does not answer", component=component, reason=str(error))
            self._down.add(component)
        elif error is None and component in self._down:
            _log.info("a component of the platform answers again", component=component)
            self._down.discard(component)


def look_at_host(settings: Settings) -> Iterable[Family]:
    """The room on this host's disks under our directories, as far as those exist."""
    free, size = family(catalog.DISK_FREE), family(catalog.DISK_SIZE)
    for name, directory in (("state", settings.state_dir), ("archive", settings.archive_dir)):
        if directory is not None and directory.is_dir():
            usage = shutil.disk_usage(directory)
            free.add_metric([name], usage.free)
            size.add_metric([name], usage.total)
    return free, size

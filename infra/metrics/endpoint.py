"""The endpoint: where one process shows its metrics, over HTTP, beside its work and never in its way."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Final, Self

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from infra.metrics.catalog import SHOWN, port_offset
from infra.metrics.instruments import Instruments
from infra.process_name import ProcessName
from infra.settings import Settings

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.metrics")


class Endpoint:
    """The instruments of this process, and the port they can be read at; open it as a context manager.

    A port that is taken is said once, and the process goes on without one: what it does is worth more than what it
    shows. So it is with whatever else keeps it from listening.

    Attributes:
        instruments: what the process counts with; None: metrics are off, and nothing is to be counted.
        address: ``http://host:port/metrics`` while it is open.

    Args:
        settings: for ``metrics_port`` and ``metrics_host``.
        process: which this is; decides the port.
    """

    def __init__(self, settings: Settings, process: ProcessName) -> None:
        self._host = settings.metrics_host
        self._process = process
        self._port = settings.metrics_port + port_offset(process)
        self._registry = CollectorRegistry()
        self.instruments = Instruments(self._registry, SHOWN[process]) if settings.metrics_port else None
        ProcessCollector(registry=self._registry)
        self.address: str | None = None
        self._close = _nothing

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Listen; nothing where metrics are off."""
        if self.instruments is None:
            return
        try:
            server, thread = start_http_server(self._port, self._host, self._registry)
        except OSError as error:
            _log.warning(
                "metrics are not shown",
                process=self._process.value,
                host=self._host,
                port=self._port,
                reason=str(error),
            )
            return
        # A pool's child would keep the port of a worker that died.
        os.register_at_fork(after_in_child=server.socket.close)
        self.address = f"http://{self._host}:{self._port}/metrics"

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._close = close
        _log.info("metrics are shown", process=self._process.value, address=self.address)

    def close(self) -> None:
        """Stop listening; what was counted stays counted."""
        self._close()
        self._close = _nothing
        self.address = None


def _nothing() -> None:
    """There is nothing to close."""

"""The monitor's process: one event loop that answers, and a thread per server that is looked at."""

from __future__ import annotations

import socket
from typing import Final

import structlog
import uvicorn

from infra import logs
from infra.health.app import application
from infra.health.monitor import Monitor
from infra.metrics.route import metrics_route
from infra.process_name import ProcessName
from infra.pulse import Pulse
from infra.settings import Settings, SettingsError, load_settings

STOP_WITHIN_SECONDS: Final = 3
"""How long connections that are open may take to end when the process is told to stop."""

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.monitor")


def run(settings: Settings | None = None) -> None:
    """Answer until SIGTERM or SIGINT.

    Args:
        settings: None: those of the environment.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    settings = settings or load_settings()
    logs.configure(settings)
    with _listening(settings) as listening, Monitor(settings) as monitor, Pulse(settings, ProcessName.MONITOR) as pulse:
        host, port, *_ = listening.getsockname()
        _LOG.info("monitor listens", host=host, port=port)

        async def beat() -> None:
            pulse.beat(ready=not monitor.health().missing)

        config = uvicorn.Config(
            application(monitor.health, others=[metrics_route(settings)]),
            log_config=None,  # ours
            access_log=False,  # probes ask every few seconds
            lifespan="off",
            callback_notify=beat,
            timeout_notify=1,
            server_header=False,
            timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])
    _LOG.info("monitor ends")


def _listening(settings: Settings) -> socket.socket:
    host, port = settings.monitor_host, settings.monitor_port
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "LEDGERQ_MONITOR_HOST and LEDGERQ_MONITOR_PORT say where (port 0: any that is free)"
        ) from error

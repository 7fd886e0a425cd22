"""The process of the HTTP interface: one event loop, and threads that ask broker and database."""

from __future__ import annotations

import importlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio.to_thread
import structlog
import uvicorn
from starlette.applications import Starlette

from infra import logs
from infra.process_name import ProcessName
from infra.pulse import Pulse
from infra.settings import Settings, SettingsError, load_settings
from infra.stopping import StopRequest
from infra.tracing import tracing
from infra.web.app import application
from infra.web.browsing import browsed
from infra.web.desk import Desk
from infra.web.operation import Beside, Operation
from infra.web.page import Pages

PLACES: Final = ("tasks.web:OPERATIONS", "projections.web:OPERATIONS")
"""Where operations are declared; found by name, for nothing here may know of tasks or projections."""
BESIDE_PLACES: Final = ("tasks.web.inbound:HOOKS",)
"""Where is declared what is asked for without a token; found likewise."""
PAGES: Final = ("projections.web.pages:PAGES", "tasks.web.forms:PAGES")
"""Where pages are declared, likewise."""
STOP_WITHIN_SECONDS: Final = 10
"""How long requests that are under way may take to end when the process is told to stop."""

_LOG: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.web")


def operations() -> list[Operation]:
    """Everything that can be asked for."""
    found: list[Operation] = []
    for place in PLACES:
        found += _found(place)
    return found


def beside() -> list[Beside]:
    """What lets in whom it will, beside the operations."""
    return [each for place in BESIDE_PLACES for each in _found(place)]


def pages() -> list[Pages]:
    """Everything that can be looked at in a browser."""
    return [_found(place) for place in PAGES]


def _found(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def run(settings: Settings | None = None) -> None:
    """Answer until SIGTERM or SIGINT.

    Args:
        settings: None: those of the environment.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    settings = settings or load_settings()
    logs.configure(settings)
    with (
        StopRequest() as stop,
        _listening(settings) as listening,
        tracing(settings, service=ProcessName.WEB.value),
        Desk(settings) as desk,
        Pulse(settings, ProcessName.WEB) as pulse,
    ):
        host, port, *_ = listening.getsockname()

        async def beat() -> None:
            pulse.beat(ready=True)

        app = application(desk, operations(), beside=beside(), others=browsed(desk, pages()))
        _widen(app, settings.web_connections)
        proxies = [part.strip() for part in filter(None, settings.web_trusted_proxies.split(","))]
        config = uvicorn.Config(
            app,
            log_config=None,  # ours
            access_log=False,  # ours says more
            callback_notify=beat,
            timeout_notify=1,
            server_header=False,
            # Whoever may say for whom it asks is named; by default uvicorn believes all that comes from this host.
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
        )
        _LOG.info("web listens", host=host, port=port)
        # Once it has ended it raises the signal again that it was told by: `stop` takes that, so that all is closed.
        if not stop:
            uvicorn.Server(config).run(sockets=[listening])
    _LOG.info("web ends")


def _widen(app: Starlette, threads: int) -> None:
    """As many threads as there are connections: whoever has a thread is not to wait for a connection."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        yield

    app.router.lifespan_context = lifespan


def _listening(settings: Settings) -> socket.socket:
    host, port = settings.web_host, settings.web_port
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        # Connections inherit it; asyncio sets it only on sockets that name their protocol, which these do not.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "LEDGERQ_WEB_HOST and LEDGERQ_WEB_PORT say where (port 0: any that is free)"
        ) from error
    return listening

"""The monitor's HTTP interface, a small ASGI app: is it alive, is the platform ready, how is everything?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from infra.health.component import Status
from infra.health.monitor import Health

OK: Final = 200
UNAVAILABLE: Final = 503


def application(health: Callable[[], Health], *, others: Sequence[BaseRoute] = ()) -> Starlette:
    """The app.

    Args:
        health: asked for each answer; has to return at once, for it is called on the event loop.
        others: routes that are served beside, such as ``/metrics``.
    """

    async def live(_request: Request) -> Response:
        """The process answers. Nothing else is asked: a restart mends neither broker nor database."""
        return _answer({"status": "alive"})

    async def ready(_request: Request) -> Response:
        """Broker and database answer; if not, which does not, why and since when."""
        missing = health().missing
        components = {name: component.as_values() for name, component in missing.items()}
        told = {"status": "not ready" if missing else "ready", "components": components}
        return _answer(told, UNAVAILABLE if missing else OK)

    async def detailed(_request: Request) -> Response:
        """Everything that is known."""
        found = health()
        return _answer(found.as_values(), UNAVAILABLE if found.status is Status.UNHEALTHY else OK)

    doors: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/live": live,
        "/ready": ready,
        "/health/detailed": detailed,
    }
    return Starlette(routes=[*(Route(path, door, methods=["GET"]) for path, door in doors.items()), *others])


def _answer(told: object, code: int = OK) -> Response:
    body = msgspec.json.encode(told)
    return Response(body, code, media_type="application/json", headers={"cache-control": "no-store"})

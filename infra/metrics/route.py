"""The platform's metrics as a route of the monitor's app."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.metrics.platform import PlatformCollector
from infra.settings import Settings

PATH: Final = "/metrics"


def metrics_route(settings: Settings) -> Route:
    """``/metrics``: each look asks broker, database and host, on a thread beside the event loop."""
    registry = CollectorRegistry()
    registry.register(PlatformCollector(settings))
    ProcessCollector(registry=registry)

    def show(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    return Route(PATH, show, methods=["GET"])

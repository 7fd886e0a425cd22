"""OpenTelemetry's SDK, which nothing imports unless spans are sent."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context as ActiveContext
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from infra.settings import Settings
from infra.tracing.ids import Context
from infra.tracing.names import ERROR_TYPE
from infra.tracing.span import Attributes, Span

TIMEOUT_SECONDS: Final = 5.0
"""How long a collector may take for a batch, unless ``OTEL_EXPORTER_OTLP_TIMEOUT`` says otherwise."""
TRACES_PATH: Final = "/v1/traces"
_SCOPE: Final = InstrumentationScope("ledgerq")
_NOISE: Final = ("opentelemetry.exporter.otlp", "opentelemetry.exporter.http", "opentelemetry.sdk")
"""Loggers that tell of every failure; the outbox says it once."""


def sender(settings: Settings, *, service: str) -> Callable[[Sequence[Any]], bool]:
    """What sends spans, ours and the SDK's, to the collector that the settings name."""
    for name in _NOISE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    exporter, resource = _exporter(settings), resource_of(service)

    def send(spans: Sequence[Any]) -> bool:
        made = [readable(span, resource) if isinstance(span, Span) else span for span in spans]
        return exporter.export(made) is SpanExportResult.SUCCESS

    return send


def resource_of(service: str) -> Resource:
    """Who sends; ``OTEL_RESOURCE_ATTRIBUTES`` adds to it."""
    return Resource.create(
        {
            "service.name": f"ledgerq-{service}",
            "service.namespace": "ledgerq",
            "host.name": socket.gethostname(),
        }
    )


class _Handing(SpanProcessor):
    """Hands every span that ends to the outbox of the process."""

    def __init__(self) -> None:
        self.put: Callable[[Any], None] | None = None

    def on_start(self, span: Any, parent_context: ActiveContext | None = None) -> None:
        """Nothing is to be done."""

    def on_end(self, span: ReadableSpan) -> None:
        """It has ended."""
        if self.put is not None and span.context is not None and span.context.trace_flags.sampled:
            self.put(span)


class _Sampling(Sampler):
    """Decides about traces that the code itself begins; the settings may be others at the next start."""

    def __init__(self) -> None:
        self.by: Sampler = ALWAYS_OFF

    def should_sample(self, *given: Any, **named: Any) -> SamplingResult:
        """As the one in force does."""
        return self.by.should_sample(*given, **named)

    def get_description(self) -> str:
        """Likewise."""
        return self.by.get_description()


_handing: Final = _Handing()
_sampling: Final = _Sampling()
"""Both outlive a fork: OpenTelemetry lets a process set its provider once, and a pool's child inherits the set one."""


def provide(settings: Settings, *, service: str, put: Callable[[Any], None]) -> None:
    """As :meth:`infra.tracing.tracer.Tracer.provide`; ``put`` takes the spans."""
    _handing.put, _sampling.by = put, TraceIdRatioBased(settings.tracing_sampled)
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    provider = TracerProvider(sampler=ParentBased(_sampling), resource=resource_of(service), shutdown_on_exit=False)
    provider.add_span_processor(_handing)
    trace.set_tracer_provider(provider)


def span_context(context: Context) -> SpanContext:
    """As OpenTelemetry has it."""
    flags = TraceFlags(TraceFlags.SAMPLED if context.is_sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=True, trace_flags=flags)


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """As the exporters take it."""
    parent = None if span.parent is None else span_context(span.context.at(span.parent))
    error = {ERROR_TYPE: span.error} if span.error is not None else {}
    return ReadableSpan(
        name=span.name,
        context=span_context(span.context),
        parent=parent,
        resource=resource,
        attributes=_said({**span.attributes, **error}),
        events=[Event(mark.name, _said(mark.attributes), _nanoseconds(mark.at)) for mark in span.marks],
        links=[trace.Link(span_context(link.to), _said(link.said)) for link in span.links],
        kind=SpanKind(span.kind),
        status=Status(StatusCode.ERROR, span.error_text) if span.error is not None else Status(StatusCode.UNSET),
        start_time=_nanoseconds(span.began),
        end_time=_nanoseconds(max(span.began, span.ended)),
        instrumentation_scope=_SCOPE,
    )


def _said(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def _exporter(settings: Settings) -> SpanExporter:
    assert settings.tracing_endpoint is not None  # noqa: S101  nobody asks otherwise
    endpoint = settings.tracing_endpoint.get_secret_value()
    # Its own default timeout is longer; the variable of that name still decides where it is set.
    timeout = None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else TIMEOUT_SECONDS
    if settings.tracing_protocol == "grpc":
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it writes past all logging, of every connection that ends
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc  # noqa: PLC0415

        return Grpc(endpoint=endpoint, timeout=timeout)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http  # noqa: PLC0415

    return Http(endpoint=traces_url(endpoint), timeout=timeout)


def traces_url(endpoint: str) -> str:
    """Where spans are posted: the endpoint itself where it has a path, else OTLP's."""
    scheme, _, rest = endpoint.partition("://")
    return endpoint if "/" in rest.rstrip("/") else f"{scheme}://{rest.rstrip('/')}{TRACES_PATH}"

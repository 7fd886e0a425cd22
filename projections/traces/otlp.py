"""Spans of the past on their way out: to a collector, or into a file as OTLP in JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from infra.settings import Settings
from infra.tracing import sdk
from projections.traces.spans import Told

BATCH: Final = 512
"""Spans that are sent at once."""
_IN_HEXADECIMAL: Final = frozenset({"traceId", "spanId", "parentSpanId"})
"""Fields that OTLP writes so in JSON; Protocol Buffers' own JSON has Base64 (OTLP specification, "JSON encoding")."""


def send(told: Sequence[Told], settings: Settings) -> bool:
    """Send the spans to the collector that the settings name; False where it did not take them all."""
    deliver = sdk.sender(settings, service="command")
    spans = _readable(told)
    return all(deliver(spans[start : start + BATCH]) for start in range(0, len(spans), BATCH))


def document(told: Sequence[Told]) -> bytes:
    """The spans as one object of OTLP in JSON, on one line."""
    return msgspec.json.encode(_hexadecimal(MessageToDict(encode_spans(_readable(told)), use_integers_for_enums=True)))


def _readable(told: Sequence[Told]) -> list[ReadableSpan]:
    return [sdk.readable(each.span, _resource(each.service)) for each in told]


@lru_cache
def _resource(service: str) -> Resource:
    """Who sends such spans, the same each time; on which machine it was, the log does not know."""
    return Resource({"service.name": f"ledgerq-{service}", "service.namespace": "ledgerq"})


def _hexadecimal(value: Any) -> Any:
    if isinstance(value, list):
        return [_hexadecimal(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(each).hex() if name in _IN_HEXADECIMAL else _hexadecimal(each)
        for name, each in value.items()
    }

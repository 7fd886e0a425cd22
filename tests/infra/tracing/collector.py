"""An OTLP receiver: takes what processes really send, over HTTP or gRPC, and keeps it as trees can be made of it."""

import gzip
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.waiting import eventually

SECONDS = 90.0
"""Long enough on a machine that others use too; nothing waits for it that goes well."""


class Got(NamedTuple):
    """A span as it arrived."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    began: int
    ended: int
    attributes: dict[str, Any]
    links: list[tuple[str, str, dict[str, Any]]]
    marks: dict[str, dict[str, Any]]
    is_error: bool

    @property
    def says(self) -> str:
        """How a tree shows it: kind, name, and what it came to if that was an error."""
        error = f" !{self.attributes['error.type']}" if self.is_error else ""
        return f"{self.kind} {self.name}{error}"


@dataclass
class Collector:
    """What has arrived so far."""

    endpoint: str
    spans: dict[tuple[str, str], Got] = field(default_factory=dict)
    encodings: set[str] = field(default_factory=set)
    repeats: int = 0
    texts: list[bytes] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        self.texts.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = str(_values(resource.resource.attributes)["service.name"])
            for scope in resource.scope_spans:
                for span in scope.spans:
                    got = _got(service, span)
                    self.repeats += (got.trace_id, got.span_id) in self.spans
                    self.spans[got.trace_id, got.span_id] = got

    def trace(self, trace_id: str) -> list[Got]:
        return sorted(
            (span for span in list(self.spans.values()) if span.trace_id == trace_id), key=lambda s: (s.name, s.began)
        )

    def tree(self, trace_id: str) -> list[str]:
        """The trace with what hangs under what by its indentation, siblings by name and then in order of time."""
        spans = self.trace(trace_id)
        known = {span.span_id for span in spans}

        def lines(parent: str | None, depth: int) -> Iterator[str]:
            for span in spans:
                is_here = span.parent not in known if parent is None else span.parent == parent
                if is_here:
                    yield "  " * depth + span.says
                    yield from lines(span.span_id, depth + 1)

        return list(lines(None, 0))

    def until_tree(self, trace_id: str, expected: list[str]) -> None:
        """Wait until the trace is ``expected``."""

        def same() -> bool:
            tree = self.tree(trace_id)
            assert tree == expected, "\n".join(["", *tree])
            return True

        eventually(same, seconds=SECONDS)

    def until(self, wanted: Callable[[Got], bool], *, count: int = 1) -> list[Got]:
        """Wait for spans."""

        def found() -> list[Got]:
            all_ = [span for span in list(self.spans.values()) if wanted(span)]
            assert len(all_) >= count, sorted({span.name for span in self.spans.values()})
            return all_

        return eventually(found, seconds=SECONDS)


def _got(service: str, span: Sent) -> Got:
    return Got(
        service=service,
        name=span.name,
        kind=Sent.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex(), _values(link.attributes)) for link in span.links],
        marks={event.name: _values(event.attributes) for event in span.events},
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def http_collector() -> Iterator[Collector]:
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            encoding = self.headers.get("content-encoding", "")
            collector.encodings.add(encoding)
            assert self.path == "/v1/traces"
            collector.take(gzip.decompress(body) if encoding == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield collector
        server.shutdown()


@contextmanager
def grpc_collector() -> Iterator[Collector]:
    collector = Collector("")

    class Servicer(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            collector.take(request.SerializeToString())
            collector.encodings.add(dict(context.invocation_metadata()).get("grpc-encoding", ""))
            return ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    add_TraceServiceServicer_to_server(Servicer(), server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(0)

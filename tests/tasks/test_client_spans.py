from typing import Any

import pytest

from infra.tracing import Context, Span, Tracer, ids
from tasks import client_spans
from tasks.client_spans import sending

ABOVE = Context("a" * 32, "b" * 16, is_sampled=True)


class Sent(Tracer):
    """A tracer that keeps what it sends."""

    def __init__(self) -> None:
        self.ratio = 1.0
        self.spans: list[Span] = []

    def send(self, span: Span) -> None:
        self.spans.append(span)


def test_a_clients_task_names_the_span_of_its_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer, options = Sent(), {"headers": {"own": 1}}
    monkeypatch.setattr(client_spans, "current", lambda: tracer)
    with sending("invoice.render", "tasks.high", options, correlation_id=None):
        assert tracer.spans == []
    run_id: Any = options["task_id"]
    (span,) = tracer.spans
    assert span.context == Context(ids.trace_id(run_id), ids.dispatched(run_id), is_sampled=True)
    assert span.name == "publish tasks.high"
    assert options["headers"] == {"own": 1, "traceparent": span.context.traceparent}


def test_what_could_not_be_sent_is_an_error_and_still_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = Sent()
    monkeypatch.setattr(client_spans, "current", lambda: tracer)
    with pytest.raises(OSError, match="no broker"), sending("t", "tasks.low", {"task_id": "r"}, correlation_id="c"):
        raise OSError("no broker")
    assert [(span.error, span.context.trace_id) for span in tracer.spans] == [("OSError", ids.trace_id("c"))]


def test_with_tracing_off_the_span_of_the_calling_code_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {}
    with sending("t", "tasks.low", options, correlation_id=None):
        assert options == {}
    monkeypatch.setattr(client_spans, "active_context", lambda: ABOVE)
    with sending("t", "tasks.low", options, correlation_id=None):
        assert options == {"headers": {"traceparent": ABOVE.traceparent}}

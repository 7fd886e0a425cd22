from typing import Any, NoReturn

import pytest

from infra.tracing import Context, Span, Tracer, ids
from tasks import client_spans
from tasks.client_spans import sending
from tests.infra.tracing.broken import BrokenTracer

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


@pytest.mark.parametrize("can_begin", [False, True])
def test_no_fault_of_tracing_keeps_a_task_from_being_sent(*, can_begin: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_spans, "current", lambda: BrokenTracer(can_begin=can_begin))
    is_sent = False
    with sending("t", "tasks.low", {"task_id": "r"}, correlation_id="c"):
        is_sent = True
    assert is_sent


def test_a_tracer_that_cannot_be_started_keeps_no_task_from_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_settings: Any, **_service: Any) -> NoReturn:
        raise OSError("no exporter")

    client_spans._begin.cache_clear()
    monkeypatch.setattr(client_spans, "start", start)
    options: dict[str, Any] = {}
    with sending("t", "tasks.low", options, correlation_id=None):
        assert options == {}

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from infra import tracing
from infra.settings import Settings
from infra.tracing import Context, Link, Mark, Span, outbox
from infra.tracing.names import Kind
from infra.tracing.outbox import Outbox
from infra.tracing.sdk import traces_url
from tests.infra.tracing.collector import Collector, grpc_collector, http_collector
from tests.waiting import eventually

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ABOVE = Context("a" * 32, "b" * 16, is_sampled=True)
ELSEWHERE = Context("c" * 32, "d" * 16, is_sampled=True)


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    yield
    tracing.stop()


def settings(collector: str, **more: Any) -> Settings:
    return Settings(tracing_endpoint=SecretStr(collector), **more)


def span(context: Context) -> Span:
    return Span(
        name="process tasks.high",
        kind=Kind.CONSUMER,
        context=context,
        parent=ABOVE.span_id,
        began=AT,
        ended=AT + timedelta(seconds=2),
        attributes={"ledgerq.task.attempt": 2, "left.out": None},
        links=[Link(ELSEWHERE, "previous attempt")],
        marks=[Mark("task.retry_scheduled", AT, {"ledgerq.retry.delay_seconds": 1.5})],
        error="ValueError",
    )


@pytest.mark.parametrize(
    ("collecting", "more", "encodings"),
    [
        (http_collector, {}, {""}),
        (http_collector, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, {"gzip"}),
        (grpc_collector, {"tracing_protocol": "grpc"}, {""}),
    ],
)
def test_a_span_arrives_as_it_was_sent(
    collecting: Any, more: dict[str, str], encodings: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in more if name.startswith("OTEL_")]:
        monkeypatch.setenv(name, more.pop(name))
    collection: AbstractContextManager[Collector] = collecting()
    with collection as collector:
        with tracing.tracing(settings(collector.endpoint, **more), service="test") as tracer:
            assert tracer is not None
            tracer.send(span(ABOVE.at("e" * 16)))
            tracer.send(span(ABOVE.at("f" * 16)._replace(is_sampled=False)))
        (got,) = collector.spans.values()
    assert (got.service, got.says, got.parent) == ("ledgerq-test", "CONSUMER process tasks.high !ValueError", "b" * 16)
    assert (got.trace_id, got.span_id) == ("a" * 32, "e" * 16)
    assert got.ended - got.began == 2_000_000_000
    assert got.began == int(AT.timestamp()) * 1_000_000_000 + 123_456_000
    assert got.attributes == {"ledgerq.task.attempt": 2, "error.type": "ValueError"}
    assert got.links == [("c" * 32, "d" * 16, {"ledgerq.link": "previous attempt"})]
    assert got.marks == {"task.retry_scheduled": {"ledgerq.retry.delay_seconds": 1.5}}
    assert collector.encodings == encodings


def test_nothing_of_opentelemetry_is_imported_where_no_endpoint_is_set() -> None:
    program = (
        "import sys; from infra import tracing; from infra.settings import Settings;"
        "import infra.broker.emitter, infra.event_store, tasks.app, tasks.worker.consumer;"
        "assert tracing.start(Settings(), service='x') is None;"
        "sys.exit(str([name for name in sys.modules if name.startswith('opentelemetry')] or ''))"
    )
    done = subprocess.run((sys.executable, "-c", program), check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_collector_that_is_away_stops_nobody_and_is_told_of_once() -> None:
    with http_collector() as gone:
        pass
    with capture_logs() as lines:
        with tracing.tracing(settings(gone.endpoint), service="test") as tracer:
            assert tracer is not None
            waiting = time.monotonic()
            for _ in range(2 * outbox.MOST_WAITING):
                tracer.send(span(ABOVE))
            eventually(lambda: any("spans" in line["event"] for line in lines), seconds=60)
        assert time.monotonic() - waiting < 60  # the time limits of all batches would add up to more
    told = [line for line in lines if "spans" in line["event"]]
    assert [line["event"] for line in told] == ["spans are not taken and are dropped until they are"]


def test_nobody_waits_for_a_collector_that_hangs() -> None:
    all_are_put = Event()

    def send(batch: Any) -> bool:
        del batch
        return all_are_put.wait(20)  # false, and told, if anybody had to wait for it

    box = Outbox(send, where="there")
    with capture_logs() as lines:
        for number in range(2 * outbox.MOST_WAITING):
            box.put(number)
        all_are_put.set()
        box.close(within=timedelta(seconds=20))
    assert lines == []
    assert box.dropped > 0


def test_spans_are_sent_again_once_the_collector_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(outbox, "LINGER_SECONDS", 0.01)
    arrived: list[Any] = []
    is_back, has_failed = Event(), Event()

    def send(batch: Any) -> bool:
        if not is_back.is_set():
            has_failed.set()
            raise OSError("no route")
        arrived.extend(batch)
        return True

    box = Outbox(send, where="there")
    with capture_logs() as lines:
        box.put(1)
        assert has_failed.wait(5)
        is_back.set()
        box.put(2)
        eventually(lambda: arrived == [2])
        box.close(within=timedelta(seconds=5))
    assert [(line["event"], line.get("dropped")) for line in lines] == [
        ("spans are not taken and are dropped until they are", None),
        ("spans are taken again", 1),
    ]


def test_a_span_of_the_processes_own_code_goes_the_same_way() -> None:
    with http_collector() as collector:
        with tracing.tracing(settings(collector.endpoint), service="test") as tracer:
            assert tracer is not None
            tracer.provide(settings(collector.endpoint), service="test")
            from opentelemetry import trace  # noqa: PLC0415  its provider is ours from here on

            with trace.get_tracer("mine").start_as_current_span("by hand"):
                active = tracing.active_context()
        (got,) = collector.spans.values()
    assert active is not None
    assert (got.name, got.trace_id, got.span_id) == ("by hand", active.trace_id, active.span_id)
    assert tracing.active_context() is None


def test_the_ratio_of_the_settings_holds_for_the_processes_own_code_too() -> None:
    from opentelemetry import trace  # noqa: PLC0415  its provider is ours from here on

    with http_collector() as collector:
        given = settings(collector.endpoint, tracing_sampled=0.0)
        with tracing.tracing(given, service="test") as tracer:
            assert tracer is not None
            tracer.provide(given, service="test")
            with trace.get_tracer("mine").start_as_current_span("by hand") as unsampled:
                assert not unsampled.is_recording()


def test_a_service_that_emits_and_sends_tasks_keeps_the_choice_of_its_provider() -> None:
    program = (
        "from infra.broker.emitter import Emitter; from infra.settings import load_settings;"
        "from opentelemetry import trace; from infra import tracing; from tasks import client_spans;"
        "before = trace.get_tracer_provider();"
        "Emitter(load_settings(), role='service');"
        "client_spans._begin(0);"
        "assert tracing.current() is not None;"
        "assert trace.get_tracer_provider() is before, trace.get_tracer_provider();"
    )
    environment = {**os.environ, "LEDGERQ_TRACING_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run((sys.executable, "-c", program), check=False, capture_output=True, text=True, env=environment)
    assert done.stderr.strip() == ""


def test_an_endpoint_without_a_path_is_posted_to_where_otlp_says() -> None:
    assert traces_url("http://c:4318") == traces_url("http://c:4318/") == "http://c:4318/v1/traces"
    assert traces_url("https://c/otlp/v1/traces") == "https://c/otlp/v1/traces"


def test_a_fault_in_putting_spans_together_is_told_once_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing.harmless, "_has_failed", False)
    with capture_logs() as lines:
        for _ in range(3):
            with tracing.harmless:
                raise ValueError("a mistake of ours")
    assert [line["event"] for line in lines] == ["spans could not be put together; more such faults are not told"]
    with pytest.raises(KeyboardInterrupt), tracing.harmless:
        raise KeyboardInterrupt

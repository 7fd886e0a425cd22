import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.app.trace import build_tracer, trace_task
from celery.concurrency import get_implementation
from pydantic import SecretStr
from structlog.testing import capture_logs

from infra import tracing
from infra.settings import Settings
from infra.tracing import ids
from tasks.worker.child import traced
from tasks.worker.resend import RetryDesk
from tasks.worker.within import begin_tracing, within
from tests.infra.tracing.collector import Collector, http_collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    with http_collector() as opened:
        yield opened
        tracing.stop()


@pytest.mark.parametrize(("pool", "runs"), [("solo", 1), ("threads", 2)])
def test_spans_of_a_tasks_code_hang_under_their_own_attempt_in_this_pool_too(
    pool: str, runs: int, collector: Collector
) -> None:
    begin_tracing(Settings(tracing_endpoint=SecretStr(collector.endpoint)))
    from opentelemetry import trace  # noqa: PLC0415  where tracing is off nobody imports it

    app, together = Celery("pools", set_as_current=False), threading.Barrier(runs)

    @app.task(name="pools.looks", shared=False)  # type: ignore[untyped-decorator]  # Celery is untyped
    def looks() -> None:
        together.wait(10)  # all are executed at the same time
        with trace.get_tracer("mine").start_as_current_span("by hand"):
            together.wait(10)

    looks.__trace__ = traced(looks, build_tracer(looks.name, looks, app=app), RetryDesk(looks))
    run_ids = [str(uuid4()) for _ in range(runs)]
    children = get_implementation(pool)(runs, app=app)
    children.start()
    reported: list[Any] = []
    for run_id in run_ids:
        request = {"id": run_id, "task": looks.name, "ledgerq-attempt": 2, "ledgerq-correlation-id": f"c-{run_id}"}
        children.apply_async(trace_task, (looks, run_id, (), {}, request), callback=reported.append)
    found = collector.until(lambda span: span.name == "by hand", count=runs)
    children.stop()
    assert {(span.trace_id, span.parent) for span in found} == {
        (ids.trace_id(f"c-{run_id}"), ids.attempted(run_id, 2)) for run_id in run_ids
    }
    assert tracing.active_context() is None


def test_a_celery_client_that_knows_nothing_of_ours_counts_attempts_as_celery_does(collector: Collector) -> None:
    tracing.start(Settings(tracing_endpoint=SecretStr(collector.endpoint)), service="test")
    with within({"id": "r", "root_id": "story", "retries": 2}):
        active = tracing.active_context()
    assert active == tracing.Context(ids.trace_id("story"), ids.attempted("r", 3), is_sampled=True)


def test_where_tracing_is_off_nothing_is_done_around_a_task() -> None:
    request: dict[str, Any] = {"id": "r"}
    assert within(request) is within(request)


def test_an_instrumentation_that_is_not_there_is_told_and_tasks_run_without_it(collector: Collector) -> None:
    with capture_logs() as lines:
        begin_tracing(Settings(tracing_endpoint=SecretStr(collector.endpoint), tracing_instrument="nothing"))
    assert [line["event"] for line in lines] == ["tasks are not instrumented"]
    assert tracing.current() is not None


def test_a_fault_of_ours_in_working_out_the_span_leaves_the_task_alone(collector: Collector) -> None:
    tracing.start(Settings(tracing_endpoint=SecretStr(collector.endpoint)), service="test")
    with within({"id": "r", "retries": "not a number"}) as told:
        assert tracing.active_context() is None
    assert told == {}

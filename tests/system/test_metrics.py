"""What the real processes show, held against the table, and against what they really did."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.tier import Tier
from infra.broker.emitter import Emitter
from infra.cloudevents import CloudEvent, new_event
from infra.local.platform import Platform, platform
from infra.metrics.catalog import PLATFORM, SHOWN, port_offset
from infra.process_name import ProcessName
from infra.settings import Settings
from tests.infra.metrics.scraping import Shown, free_block, scrape
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{12,}|\d{5,}|@|:\d+$")
PACE = {"LEDGERQ_WATERMARK_INTERVAL_SECONDS": "0.5", "LEDGERQ_SWEEP_INTERVAL_SECONDS": "2"}
SUCCEEDING, FLAKY, FAILING, UNKNOWN = 5, 2, 3, 1


def request(task: str, tier: Tier = Tier.NORMAL, **kwargs: object) -> CloudEvent:
    data = {"task": task, "kwargs": kwargs, "tier": tier.value}
    return new_event("task.requested", source="/test", data=data, subject=task)


@pytest.fixture(scope="module")
def port() -> int:
    return free_block()


@pytest.fixture(scope="module")
def built(servers: Settings, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = servers.model_copy(update={"state_dir": tmp_path_factory.mktemp("state"), "metrics_port": port})
    with platform(settings, label="metrics", tell=lambda _line: None, pace=PACE) as made:
        made.start()
        made.wait_until_ready()
        with Emitter(made.settings, role="test") as emitter:
            emitter.emit_all(
                [
                    *(request("sample.work", duration_ms=1) for _ in range(SUCCEEDING)),
                    *(request("sample.flaky", failures=1) for _ in range(FLAKY)),
                    *(request("sample.fail", why="it is a test") for _ in range(FAILING)),
                    *(request("nobody.knows.this") for _ in range(UNKNOWN)),
                    replace(request("sample.work"), type="no.such.type"),
                ]
            )
        yield made


def shown(port: int, process: ProcessName) -> Shown:
    return scrape(port + port_offset(process))


@pytest.mark.parametrize("process", list(SHOWN))
def test_a_process_shows_what_the_table_says_and_nothing_else(built: Platform, port: int, process: ProcessName) -> None:
    del built
    assert shown(port, process).names == {metric.name for metric in SHOWN[process]}


def test_the_monitor_shows_what_the_table_says_of_the_platform(built: Platform) -> None:
    port = int(built.environment["LEDGERQ_MONITOR_PORT"])
    seen = scrape(port)
    assert seen.names == {metric.name for metric in PLATFORM}
    assert seen.value("ledgerq_up", component="broker") == seen.value("ledgerq_up", component="database") == 1
    assert not [value for value in seen.label_values() if ID.search(value)]


def test_attempts_are_counted_by_task_and_outcome(built: Platform, port: int) -> None:
    del built

    def counted() -> dict[tuple[str, str], float]:
        seen = shown(port, ProcessName.WORKER_NORMAL).samples
        return {
            (sample.labels["task"], sample.labels["outcome"]): sample.value
            for sample in seen
            if sample.name == "ledgerq_attempts_total"
            and sample.value
            and sample.labels["task"].startswith(("sample.", "other"))
        }

    expected = {
        ("sample.work", "succeeded"): SUCCEEDING,
        ("sample.flaky", "retried"): FLAKY,
        ("sample.flaky", "succeeded"): FLAKY,
        ("sample.fail", "failed"): FAILING,
        ("other", "rejected"): UNKNOWN,
    }

    def as_expected() -> bool:
        assert counted() == expected
        return True

    eventually(as_expected)
    seen = shown(port, ProcessName.WORKER_NORMAL)
    assert seen.value("ledgerq_attempt_duration_seconds_count", task="sample.work") == SUCCEEDING
    assert seen.value("ledgerq_attempts_started_total", task="sample.flaky") == 2 * FLAKY
    assert seen.value("ledgerq_retries_total", task="sample.flaky", spent_by="exception") == FLAKY
    assert seen.value("ledgerq_task_last_success_timestamp_seconds", task="sample.work") > 1.7e9
    assert seen.value("ledgerq_worker_children") == 1
    assert seen.value("ledgerq_worker_connected") == 1


def test_dead_letters_and_messages_not_taken_in_are_counted_by_reason(built: Platform, port: int) -> None:
    del built
    dead = FAILING + UNKNOWN
    eventually(lambda: shown(port, ProcessName.INGEST).value("ledgerq_dead_letters_total", reason="rejected") == dead)
    seen = shown(port, ProcessName.INGEST)
    assert seen.value("ledgerq_ingest_rejected_total", reason="unknown_type") == 1
    assert seen.value("ledgerq_ingest_messages_total", queue="dead.record") == dead
    batches = seen.value("ledgerq_ingest_batch_messages_count", queue="ingest")
    assert batches == seen.value("ledgerq_ingest_append_seconds_count", queue="ingest") > 0
    assert seen.value("ledgerq_ingest_age_seconds_count") > 0


def test_dispatch_counts_what_it_published_and_how_long_that_waited(built: Platform, port: int) -> None:
    del built
    asked = SUCCEEDING + FLAKY + FAILING + UNKNOWN
    eventually(
        lambda: shown(port, ProcessName.DISPATCH).value("ledgerq_dispatch_published_total", tier="normal") >= asked
    )
    seen = shown(port, ProcessName.DISPATCH)
    published = seen.value("ledgerq_dispatch_published_total")
    assert seen.value("ledgerq_dispatch_wait_seconds_count") == published
    assert seen.value("ledgerq_dispatch_wait_seconds_sum") > 0
    assert seen.value("ledgerq_leader", leadership="dispatch") == 1
    assert seen.value("ledgerq_dispatch_held", tier="low") == 0


def test_the_scheduler_and_the_projector_say_that_they_lead_and_what_they_do(built: Platform, port: int) -> None:
    del built
    fired = "ledgerq_schedule_fired_total"
    eventually(lambda: shown(port, ProcessName.SCHEDULER).value(fired, schedule="cleanup_zombie_sessions") >= 2)
    scheduler = shown(port, ProcessName.SCHEDULER)
    assert scheduler.value("ledgerq_leader", leadership="scheduler") == 1
    assert scheduler.value("ledgerq_schedule_lateness_seconds_count", schedule="cleanup_zombie_sessions") >= 1
    eventually(
        lambda: shown(port, ProcessName.PROJECTOR).value("ledgerq_projection_events_total", projection="task_runs") > 0
    )
    projector = shown(port, ProcessName.PROJECTOR)
    assert projector.value("ledgerq_leader", leadership="projection.task_runs") == 1
    assert projector.value("ledgerq_projection_write_seconds_count", projection="task_runs") > 0


@pytest.mark.parametrize("process", list(SHOWN))
def test_no_label_holds_an_id(built: Platform, port: int, process: ProcessName) -> None:
    del built
    assert not [value for value in shown(port, process).label_values() if ID.search(value)]


def test_a_worker_that_dies_leaves_its_port_to_the_next(built: Platform, port: int) -> None:
    worker = next(child for child in built.supervisor.children if child.name == "worker-low")
    assert worker.process is not None
    died = worker.pid
    worker.process.kill()
    worker.process.wait()

    def another() -> bool:
        built.supervisor.look()
        return worker.pid not in {None, died} and bool(shown(port, ProcessName.WORKER_LOW).names)

    eventually(lambda: _quietly(another), seconds=30)
    assert "metrics are not shown" not in (Path(built.directory) / "worker-low.log").read_text()


def _quietly(look: object) -> bool:
    try:
        return bool(look())  # type: ignore[operator]
    except OSError:
        return False

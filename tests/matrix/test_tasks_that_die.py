"""What a task can die of by itself, and what its message can be: one test for each row of docs/failures.md."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from domain.tier import Tier
from tests.matrix.expecting import AGAIN, Why, expect
from tests.matrix.stage import STOCK, Stage, Worker

pytestmark = [pytest.mark.system, pytest.mark.chaos, pytest.mark.usefixtures("worker")]


def _scope(fixture_name: str, config: pytest.Config) -> Literal["function", "module"]:
    """Stock workers do not live on."""
    del fixture_name, config
    return "function" if STOCK else "module"


@pytest.fixture(scope=_scope, autouse=True)
def worker(stage: Stage) -> Iterator[Worker]:
    """One worker for all of them: none may end it, and in the end it has let go of every message."""
    worker = stage.worker(Tier.NORMAL, concurrency=4)
    yield worker
    if STOCK:
        worker.kill()
        stage.purge(Tier.NORMAL)
        stage.workers.clear()
        return
    assert worker.lives, worker.log
    assert worker.log.count("worker ready") == 1, worker.log
    assert worker.stop() == 0
    assert stage.depth(Tier.NORMAL.queue) == 0


@pytest.fixture(autouse=True)
def the_worker_lives_on(worker: Worker) -> Iterator[None]:
    yield
    assert worker.lives, worker.log


def test_exception_after_retries(stage: Stage) -> None:
    sent = stage.publish("deadly.fail")
    why = Why("ConnectionError", "neighbor away", "exception")
    expect(stage, sent, "failed", outcomes=[AGAIN, AGAIN, "failed"], executions=3, why=why)


def test_exception_after_retries_of_a_stock_task(stage: Stage) -> None:
    sent = stage.publish("deadly.stock_fail")
    why = Why("ConnectionError", "neighbor away", "exception")
    expect(stage, sent, "failed", outcomes=[AGAIN, AGAIN, "failed"], executions=3, why=why)


def test_error_that_is_not_retried(stage: Stage) -> None:
    sent = stage.publish("deadly.refuse")
    expect(stage, sent, "failed", outcomes=["failed"], executions=1, why=Why("LicenseGone", "license-1"))


def test_soft_time_limit(stage: Stage) -> None:
    sent = stage.publish("deadly.soft_limit")
    expect(stage, sent, "failed", outcomes=["failed"], executions=1, why=Why("SoftTimeLimitExceeded"))


def test_hard_time_limit(stage: Stage) -> None:
    sent = stage.publish("deadly.hard_limit")
    why = Why("TimeLimitExceeded", "1")
    expect(stage, sent, "timed_out", outcomes=["timed_out"], executions=1, why=why)


def test_child_killed(stage: Stage) -> None:
    sent = stage.publish("deadly.kill_child")
    why = Why("WorkerLostError", "signal 9", "worker_lost")
    expect(stage, sent, "lost", outcomes=[AGAIN, AGAIN, "lost"], executions=3, why=why)


def test_system_exit_in_a_task(stage: Stage) -> None:
    sent = stage.publish("deadly.system_exit")
    why = Why("SystemExit", "5", "worker_lost")
    expect(stage, sent, "lost", outcomes=[AGAIN, AGAIN, "lost"], executions=3, why=why)


def test_memory_error_in_a_task(stage: Stage) -> None:
    sent = stage.publish("deadly.memory_error")
    why = Why("MemoryError", "16 EiB", "worker_lost")
    expect(stage, sent, "lost", outcomes=[AGAIN, AGAIN, "lost"], executions=3, why=why)


def test_expired(stage: Stage) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    sent = stage.publish("deadly.succeed", headers={"expires": past})
    why = Why("Expired", "expired at")
    expect(stage, sent, "expired", outcomes=["expired"], executions=0, is_dead=False, why=why)


def test_unknown_task(stage: Stage) -> None:
    sent = stage.publish("deadly.nobody_knows")
    why = Why("NotRegistered", "deadly.nobody_knows")
    expect(stage, sent, "rejected", outcomes=["rejected"], executions=0, why=why)


def test_undecodable_message(stage: Stage) -> None:
    sent = stage.publish("deadly.succeed", body=b'[["never')
    expect(stage, sent, "rejected", outcomes=["rejected"], executions=0, why=Why("BodyUndecodable", "body"))


def test_message_that_is_no_mapping(stage: Stage) -> None:
    sent = stage.publish("deadly.succeed", body=b'[[], ["not a mapping"], {}]')
    expect(stage, sent, "rejected", outcomes=["rejected"], executions=0, why=Why("BodyInvalid", "body"))


def test_message_with_a_header_of_a_wrong_type(stage: Stage) -> None:
    sent = stage.publish("deadly.succeed", headers={"timelimit": 7})
    expect(stage, sent, "rejected", outcomes=["rejected"], executions=0, why=Why("HeaderInvalid", "timelimit"))


def test_pickle(stage: Stage) -> None:
    body = pickle.dumps(([], {}, {}))
    sent = stage.publish("deadly.succeed", body=body, content_type="application/x-python-serialize")
    why = Why("ContentTypeRefused", "application/x-python-serialize")
    expect(stage, sent, "rejected", outcomes=["rejected"], executions=0, why=why)

"""Retries that wait cost a worker nothing: no memory, no prefetch, no time of those that are due.

Some fail before the test's eyes; the others are put where a worker would have put them. ``LAB_WAITING=100000`` has so
many wait in all; ``-s`` shows the figures.
"""

import json
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from domain.tier import Tier
from infra.broker.delay import Route, delay_route, ladder
from infra.broker.publisher import OutgoingMessage, Publisher
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

TIER = Tier.LOW
WAITING = int(os.environ.get("LAB_WAITING", "5000"))
FAILING = 500
BATCH = 500
GROWTH_MEGABYTES = 8.0
DONE_WITHIN_SECONDS = 3.0


@pytest.fixture(scope="module")
def worker(lab: Lab) -> Iterator[WorkerProcess]:
    worker = lab.worker(TIER)
    yield worker
    assert worker.stop() == 0
    with lab.channel() as channel:
        for queue in ladder().queues:
            channel.queue_purge(queue.name)


def megabytes(worker: WorkerProcess) -> float:
    """Resident memory of the worker's main process, which is where Celery lets retries wait."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def publish(lab: Lab, number: int, route: Route, *, attempt: int) -> None:
    """Publish so many runs that fail and are to be tried again in hours."""
    with closing(Publisher(lab.settings, role="test")) as publisher:
        for _ in range(0, number, BATCH):
            messages = [message(route, attempt) for _ in range(BATCH)]
            assert all(told.confirmed for told in publisher.publish(messages, timeout=timedelta(seconds=60)))


def message(route: Route, attempt: int) -> OutgoingMessage:
    run = str(uuid4())
    return OutgoingMessage(
        exchange=route.exchange,
        routing_key=route.routing_key,
        body=json.dumps([[], {}, {}]).encode(),
        headers={"id": run, "task": "lab.fail_for_hours", "lab-id": run, "ledgerq-attempt": attempt},
        content_type="application/json",
        content_encoding="utf-8",
    )


def until_waiting(lab: Lab, number: int) -> None:
    def all_wait() -> bool:
        return sum(lab.depth(queue.name) for queue in ladder().queues) >= number

    eventually(all_wait, seconds=60 + number / 20, every=0.5)


def unacknowledged(lab: Lab) -> int:
    """As the management API has it, a few seconds late; -1 where it does not know yet."""
    vhost = quote(lab.broker_url.rsplit("/", 1)[1], safe="")
    return int(lab.api("GET", f"queues/{vhost}/{TIER.queue}").get("messages_unacknowledged", -1))


def done_after(lab: Lab) -> float:
    """How long a run that is due takes from its publication to its recorded end, in seconds."""
    began = time.monotonic()
    run = lab.publish("lab.add", 1, 1, tier=TIER)
    lab.ear.until(run, "task.succeeded 1")
    return time.monotonic() - began


@pytest.mark.timeout(3600)
def test_retries_that_wait_cost_a_worker_nothing(lab: Lab, worker: WorkerProcess) -> None:
    publish(lab, FAILING, Route("tasks", TIER.queue), attempt=1)
    until_waiting(lab, FAILING)
    before, soon = megabytes(worker), statistics.median(done_after(lab) for _ in range(10))
    publish(lab, WAITING - FAILING, delay_route(timedelta(hours=4), TIER.queue), attempt=2)
    until_waiting(lab, WAITING)
    after, as_soon = megabytes(worker), statistics.median(done_after(lab) for _ in range(10))
    figures = {"megabytes": (before, after), "a due run is done after seconds": (soon, as_soon)}
    sys.stdout.write(f"{WAITING} waiting: {figures}\n")
    assert after - before < GROWTH_MEGABYTES, figures
    assert as_soon < DONE_WITHIN_SECONDS, figures
    eventually(lambda: unacknowledged(lab) == 0, seconds=30)

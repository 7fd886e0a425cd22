"""``python -m tests.tasks.worker.hosted TIER CONCURRENCY``: a worker with the lab's tasks, in a process of its own.

While the file named by ``LAB_GATE`` is there, nothing is published from the worker's main process. ``LAB_TASKS`` names
other modules of tasks, with commas between. With ``LAB_STOCK=1`` it is Celery's own worker, with the settings that keep
most: so one sees what our handling is for (docs/failures.md).
"""

import os
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import signals

from domain.tier import Tier
from infra.broker.publisher import Confirmation, OutgoingMessage, Publisher
from tasks import app
from tasks.worker import consumer, process


class GatedPublisher(Publisher):
    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        while Path(os.environ["LAB_GATE"]).exists():
            time.sleep(0.02)
        return super().publish(messages, timeout=timeout)


def say_ready(**_: Any) -> None:
    sys.stdout.write("worker ready\n")
    sys.stdout.flush()


def use_stock_celery() -> None:
    """Take our consumer away; of these settings, the first two keep messages, and the others are Celery's defaults."""
    app.app.conf.update(
        task_acks_on_failure_or_timeout=False,
        task_reject_on_worker_lost=True,
        worker_consumer="celery.worker.consumer:Consumer",
        broker_channel_error_retry=False,
        worker_enable_prefetch_count_reduction=True,
    )
    signals.worker_ready.connect(say_ready)


if __name__ == "__main__":
    app.task_modules = lambda: os.environ.get("LAB_TASKS", "tests.tasks.worker.lab_tasks").split(",")
    consumer.Publisher = GatedPublisher  # type: ignore[misc, attr-defined]
    if "LAB_RESULTS" in os.environ:
        app.app.conf.result_backend = os.environ["LAB_RESULTS"]
    if os.environ.get("LAB_STOCK"):
        use_stock_celery()
    process.run(Tier(sys.argv[1]), int(sys.argv[2]))

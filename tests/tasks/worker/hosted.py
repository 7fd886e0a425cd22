"""``python -m tests.tasks.worker.hosted TIER CONCURRENCY``: a worker with the lab's tasks, in a process of its own.

While the file named by ``LAB_GATE`` is there, nothing is published from the worker's main process.
"""

import os
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from domain.tier import Tier
from infra.broker.publisher import Confirmation, OutgoingMessage, Publisher
from tasks import app
from tasks.worker import consumer, process


class GatedPublisher(Publisher):
    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        while Path(os.environ["LAB_GATE"]).exists():
            time.sleep(0.02)
        return super().publish(messages, timeout=timeout)


if __name__ == "__main__":
    app.task_modules = lambda: ["tests.tasks.worker.lab_tasks"]
    consumer.Publisher = GatedPublisher  # type: ignore[misc, attr-defined]
    process.run(Tier(sys.argv[1]), int(sys.argv[2]))

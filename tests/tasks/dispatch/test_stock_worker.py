"""What dispatch publishes is Celery's own protocol: a worker that knows nothing of Ledgerq executes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.tier import Tier
from tests.tasks.dispatch.world import World
from tests.waiting import eventually

pytestmark = pytest.mark.system

APP = """
import json, os
from celery import Celery
from kombu import Exchange, Queue

app = Celery("stock", broker=os.environ["STOCK_BROKER_URL"])
app.conf.task_queues = [Queue("tasks.normal", Exchange("tasks", type="topic", no_declare=True), no_declare=True)]
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_enable_remote_control = False

@app.task(name="stock.note", bind=True)
def note(self, *args, **kwargs):
    with open(os.environ["STOCK_NOTES"], "a") as file:
        said = {"id": self.request.id, "args": list(args), "kwargs": kwargs, "root": self.request.root_id,
                "retries": self.request.retries, "priority": self.request.delivery_info["priority"]}
        file.write(json.dumps(said) + chr(10))
"""


@pytest.fixture
def stock_worker(world: World, tmp_path: Path) -> Iterator[Path]:
    """A stock Celery worker on the normal tier's queue; yields the file its task writes to."""
    (tmp_path / "stock_app.py").write_text(APP)
    notes = tmp_path / "notes"
    notes.touch()
    environment = {
        **os.environ,
        "STOCK_BROKER_URL": world.settings.broker_url.get_secret_value(),
        "STOCK_NOTES": str(notes),
    }
    plain = ("--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning")
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            (sys.executable, "-m", "celery", "-A", "stock_app", "worker", *plain),
            env=environment,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
    yield notes
    worker.kill()  # asked politely it takes ten seconds, and it has nothing in hand
    worker.wait()
    assert "Traceback" not in (tmp_path / "worker.log").read_text()


def test_a_stock_celery_worker_executes_what_dispatch_published(world: World, stock_worker: Path) -> None:
    expired = world.accept("stock.note", args=(0,), expires_at=datetime.now(UTC) - timedelta(minutes=1))
    run = world.accept("stock.note", args=(1, "zwei"), kwargs={"drei": [3.5, None]}, priority=4)
    follower = world.follower()
    while follower.step():
        pass
    notes = eventually(lambda: [json.loads(line) for line in stock_worker.read_text().splitlines()])
    assert notes == [
        {
            "id": run,
            "args": [1, "zwei"],
            "kwargs": {"drei": [3.5, None]},
            "root": run,
            "retries": 0,
            "priority": 4,
        }
    ]
    eventually(lambda: world.waiting_in(Tier.NORMAL) == [])
    assert expired not in stock_worker.read_text()

"""``python -m tests.tasks.reconcile.hosted TIER CONCURRENCY``: a worker with the tasks of these tests."""

import sys

from domain.tier import Tier
from tasks import app
from tasks.worker import process

if __name__ == "__main__":
    app.task_modules = lambda: ["tests.tasks.reconcile.work"]
    process.run(Tier(sys.argv[1]), int(sys.argv[2]))

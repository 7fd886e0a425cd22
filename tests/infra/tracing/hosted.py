"""``python -m tests.infra.tracing.hosted TIER``: a worker with the traced tasks."""

import sys

from domain.tier import Tier
from tasks import app
from tasks.worker import process

if __name__ == "__main__":
    app.task_modules = lambda: ["tests.infra.tracing.traced_tasks"]
    process.run(Tier(sys.argv[1]), 1)

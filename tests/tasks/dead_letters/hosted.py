"""``python -m tests.tasks.dead_letters.hosted TIER``: a worker with tasks that die, and the one that alerts people."""

import sys

from domain.tier import Tier
from tasks import app
from tasks.worker import process

if __name__ == "__main__":
    app.task_modules = lambda: ["tests.tasks.dead_letters.tasks", "tasks.catalog.alerts"]
    process.run(Tier(sys.argv[1]), 1)

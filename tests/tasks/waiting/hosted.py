"""``python -m tests.tasks.waiting.hosted``: a worker of tier normal that knows the steps."""

from domain.tier import Tier
from tasks import app
from tasks.worker import process

if __name__ == "__main__":
    app.task_modules = lambda: ["tests.tasks.waiting.steps"]
    process.run(Tier.NORMAL, 1)

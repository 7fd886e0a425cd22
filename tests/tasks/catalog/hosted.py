"""``python -m tests.tasks.catalog.hosted TIER``: a worker with the catalog's tasks, whose retries come at once."""

import sys
from datetime import timedelta

from domain.tier import Tier
from tasks.worker import policies, process
from tasks.worker.retry import RetryPolicy

if __name__ == "__main__":
    soon = timedelta(milliseconds=125)
    policies.E_MAIL = RetryPolicy(start=soon, maximum=soon, max_retries=policies.E_MAIL.max_retries)  # type: ignore[misc]
    process.run(Tier(sys.argv[1]), 1)

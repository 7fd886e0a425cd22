"""``python -m tests.tasks.reconcile.dying_client TIER COUNT LAST BODY``: a client that sends a chord.

Of COUNT members. It is killed when it is about to send number LAST, from 0; -1: it is not. BODY is the run of the
chord's body.
"""

import os
import signal
import sys
from typing import Any

from celery import chord
from celery.signals import before_task_publish

from domain.tier import Tier
from tasks.app import app


def main(tier: Tier, count: int, last: int, body_id: str) -> None:
    sent = iter(range(count))

    def die(**_: Any) -> None:
        if next(sent) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    before_task_publish.connect(die)
    step = app.signature("reconcile.quick", immutable=True).set(queue=tier.queue)
    chord([step.clone() for _ in range(count)], step.clone(), app=app).apply_async(task_id=body_id)


if __name__ == "__main__":
    main(Tier(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

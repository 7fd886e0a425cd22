"""``python -m tests.matrix.client``: a client of the platform that publishes one task, and says what came of it.

In a process of its own, so that a wait without end at its exit is seen too. ``LAB_STOCK=1``: through Celery's own
connection.
"""

from __future__ import annotations

import os
import sys
import time

from celery import Celery

from tasks.app import TaskApp, app
from tests.matrix import deadly_tasks

if __name__ == "__main__":
    if os.environ.get("LAB_STOCK"):
        TaskApp.connection_for_write = Celery.connection_for_write  # type: ignore[method-assign]
    began = time.monotonic()
    for _ in range(2):  # the second time, the pool hands out the connection that was given up
        try:
            sent = deadly_tasks.succeed.apply_async((sys.argv[1],), queue=sys.argv[2])
        except Exception as error:  # noqa: BLE001  whatever it is, it is told
            sys.stdout.write(f"{type(error).__name__}: {error}\n")
        else:
            sys.stdout.write(f"sent {sent.id}\n")
    sys.stdout.write(f"after {time.monotonic() - began:.1f} s\n")
    app.close()

"""Tasks of the tests of stories that are taken back; ``LAB_TASKS`` names this module to a hosted worker."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tasks.app import app


def note(line: str) -> None:
    """Append a line to the file that the test looks at."""
    with Path(os.environ["LAB_LINES"]).open("a") as lines:
        lines.write(f"{line}\n")


@app.task(name="back.noted", bind=True)
def noted(self: Any, *_before: Any) -> str:
    note(self.request.id)
    return str(self.request.id)


@app.task(name="back.stubborn", bind=True)
def stubborn(self: Any, sent_last: str, queue: str) -> None:
    """Runs until it is told to end, and sends another task then."""
    note(self.request.id)
    try:
        time.sleep(300)
    finally:
        app.send_task("back.noted", task_id=sent_last, queue=queue)

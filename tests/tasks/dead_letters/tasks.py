"""Tasks that die until something about them is changed."""

import json
from pathlib import Path
from typing import Any, NoReturn

from tasks.app import app, task
from tasks.worker.retry import NO_RETRIES


@app.task(name="tomb.fragile", bind=True)
def fragile(self: Any, *, path: str, whole: bool) -> None:
    """Leave a note of what came with the message, or break."""
    if not whole:
        raise ValueError("it broke")
    headers = {name: str(value) for name, value in self.request.headers.items()} if self.request.headers else {}
    note = {"headers": headers, "priority": self.request.delivery_info["priority"], "retries": self.request.retries}
    note["known"] = sorted(name for name, value in vars(self.request).items() if value is not None)
    Path(path).write_text(json.dumps(note))


@app.task(name="tomb.hopeless")
def hopeless() -> NoReturn:
    raise ValueError("never")


@task("tomb.vital", retry_policy=NO_RETRIES, critical=True)
def vital(*, number: int) -> NoReturn:
    raise ValueError(f"number {number}")

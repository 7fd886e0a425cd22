"""What an ingest process remembers from batch to batch, for tests that take batches in without one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tasks.ingest.blindness import Blindness
from tasks.ingest.watermark import LogTime


def remembering(*, interval: timedelta = timedelta(days=36_500)) -> dict[str, Any]:
    """Keyword arguments of ``Batches``: of a process that is alone and has just begun.

    Args:
        interval: between markers; by default so long that no jump of log time is one.
    """
    return {"log_time": LogTime(), "blindness": Blindness(interval=interval), "in_company": lambda: False}

"""One sweep outside of a worker, timed, for the benchmark: ``python -m tasks.sample.sweep_once`` prints JSON."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from uuid import uuid4

from domain.cause import Cause
from tasks.catalog.judging import Outcome
from tasks.catalog.sessions import sweep
from tasks.wiring import wiring


def main() -> None:
    """Let all silent sessions lapse."""
    wired = wiring()
    began = time.monotonic()
    cause = Cause(id=uuid4(), at=datetime.now(UTC), actor="bench")
    swept = sweep(wired.store, wired.engine, cause=cause).outcomes
    seconds = time.monotonic() - began
    said = {"cleaned": swept[Outcome.CHANGED], "seconds": seconds}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()

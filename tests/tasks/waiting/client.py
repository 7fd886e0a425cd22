"""``python -m tests.tasks.waiting.client``: ask for a chain with a step that waits, as a client does; prints its ids.

The arguments of the step are JSON: ``STEP [ARGUMENT …] {OPTIONS}``.
"""

from __future__ import annotations

import json
import sys

from celery import chain

from tests.tasks.waiting.steps import charge, deliver, ship, waiting

if __name__ == "__main__":
    step, *arguments = sys.argv[1:]
    *given, options = map(json.loads, arguments)
    middle = deliver if step == "deliver" else getattr(waiting, step)
    last = chain(charge.s("o-1"), middle.s(*given, **options), ship.s()).apply_async()
    print(last.parent.parent.id, last.parent.id, last.id)  # noqa: T201

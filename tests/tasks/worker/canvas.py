"""``python -m tests.tasks.worker.canvas chain|chord QUEUE PRIORITY``: ask for a canvas as a client does.

Prints the ids of its runs, one a line: a chain's links in order; a chord's members, then its body.
"""

import os
import sys

from celery import chain, chord

from tasks.app import app
from tests.tasks.worker.lab_tasks import double, total


def main(kind: str, queue: str, priority: int) -> list[str]:
    where = {"queue": queue, "priority": priority}
    if kind == "chain":
        last = chain(double.s(1), double.s(fail_once=True), double.s()).apply_async(**where)
        ids = [last.id]
        while last.parent is not None:
            last = last.parent
            ids.insert(0, last.id)
        return ids
    body = chord([double.s(1, fail_once=True), double.s(2)])(total.s(), **where)
    return [*[member.id for member in body.parent.results], body.id]


if __name__ == "__main__":
    app.conf.result_backend = os.environ["LAB_RESULTS"]
    print("\n".join(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))  # noqa: T201

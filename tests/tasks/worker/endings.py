"""How the runs of the worker's tests may end."""

from typing import Final

from tests.tasks.worker.lab import Lab
from tests.waiting import eventually

ENDS: Final = frozenset(
    f"task.{end}" for end in ("succeeded", "failed", "rejected", "timed_out", "lost", "expired", "revoked")
)


def end(lab: Lab, run: str) -> str:
    """The one end that is told of the run."""

    def ends() -> list[str]:
        return [told for told in lab.ear.story(run) if told.split()[0] in ENDS]

    (ended,) = eventually(ends, seconds=8)
    return ended

"""The guard: a process of its own that ends everything in a slot once whoever took the slot is gone, however it went.

It reads a pipe whose other end only the owner holds, as the leash does; unlike the leash it starts nothing, so that the
owner can kill and start its servers itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.local import processes
from infra.local.leash import Release, clear
from infra.local.slot import CHECKOUT, Slot

_LOOK_SECONDS: Final = 0.5


@contextmanager
def guarded(slot: Slot) -> Iterator[None]:
    """Nothing of the slot outlives the block, nor this process if it is killed within; the slot is free afterwards."""
    environment = {name: value for name, value in os.environ.items() if name != processes.MARK}
    guard = subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-m", __name__, str(slot.directory), str(slot.lock)],
        stdin=subprocess.PIPE,
        env=environment,
        cwd=CHECKOUT,
        pass_fds=(slot.lock,),
        start_new_session=True,
    )
    try:
        yield
    finally:
        if guard.stdin is not None:
            guard.stdin.close()
        guard.wait()
        os.close(slot.lock)


def watch(slot: Slot) -> None:
    """Wait for the owner's end, then end what is left."""
    release = Release()
    while not release.wait(_LOOK_SECONDS):
        pass
    clear(slot)


if __name__ == "__main__":
    watch(Slot(Path(sys.argv[1]), int(sys.argv[2])))

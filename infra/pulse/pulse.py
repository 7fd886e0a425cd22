"""The pulse of one process: its loop says that it turns; probes and ``ledgerq status`` see it from outside."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from infra.process_name import ProcessName
from infra.pulse.files import PulseFiles
from infra.pulse.telling import Teller
from infra.settings import Settings

TOUCH_SECONDS: Final = 1.0
"""How often the files are touched at most; a beat in between costs two comparisons."""


class Said(NamedTuple):
    """What the loop said last.

    Attributes:
        turned: when it turned, by the monotonic clock.
        ready: whether the process can do its work, as far as it knows.
        state: what else it says of itself.
    """

    turned: float
    ready: bool
    state: Mapping[str, Any]


class Pulse:
    """Call :meth:`beat` from the loop that does the work, and from no other thread: a loop that hangs has to show.

    Use it as a context manager, or :meth:`start` and :meth:`stop` it. Without that it touches files only.

    Args:
        settings: for the directory of the files, and for the database.
        process: which it is.
        name: process, host and process id, where not given.
    """

    def __init__(self, settings: Settings, process: ProcessName, *, name: str | None = None) -> None:
        self.name = name or f"{process.value}@{socket.gethostname()}:{os.getpid()}"
        self._files = PulseFiles(settings.pulse_files_dir, process)
        self._said = Said(time.monotonic(), ready=False, state={})
        self._touched = float("-inf")
        self._teller = Teller(settings, self.name, process, said=lambda: self._said)

    def beat(
        self, *, ready: bool, turned: float | None = None, state: Callable[[], Mapping[str, Any]] | None = None
    ) -> None:
        """The loop turns.

        Args:
            ready: whether the process can do its work, as far as it knows.
            turned: when it turned last, by the monotonic clock; now where not given.
            state: asked, at most once a second and on this thread, for what else there is to say.
        """
        now = time.monotonic()
        if now - self._touched < TOUCH_SECONDS and ready == self._said.ready:
            return
        turned = now if turned is None else turned
        self._touched = now
        self._said = Said(turned, ready, self._said.state if state is None else state())
        self._files.touch(age_seconds=now - turned, time=time.time(), ready=ready)

    def start(self) -> Self:
        """Begin to tell the database too, from a thread of its own."""
        self._teller.start()
        return self

    def stop(self) -> None:
        """The process ends because it was asked to: take the files and the row away."""
        self._teller.stop()
        self._files.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

"""How a worker stops: what runs may finish within a grace period; what has not by then goes back to the broker.

The first SIGTERM or SIGINT begins it: no more messages, no more beginnings. A second one, or SIGQUIT, hurries it: as if
the grace had passed. What still runs then is ended, recorded as an attempt that a shutdown took and that does not
count, and published anew before its message is let go. What nobody had begun goes back as it came.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from celery.worker import state

from tasks.worker.outcome import Died, Failure

if TYPE_CHECKING:
    from tasks.worker.registrar import Registrar

LOOK_EVERY_SECONDS: Final = 0.2
MARGIN_SECONDS: Final = 5.0
"""How long after the grace the worker's own loop may take to notice; it does not turn while the broker is away."""

_log = structlog.get_logger("ledgerq.worker")


class Workplace(Protocol):
    """What the shutdown needs of a consumer."""

    def stop_consuming(self) -> None:
        """Have no more messages delivered; nothing where there are none already."""

    def is_connected(self) -> bool:
        """Whether there is a connection that messages come on."""

    def end_child(self, pid: int) -> None:
        """Kill the pool's child ``pid``."""

    def children(self) -> list[int]:
        """Process ids of the pool."""


class Shutdown:
    """Listens for the signals, and sees to it that the worker stops.

    Args:
        workplace: what is to stop.
        registrar: knows what runs.
        grace: how long what runs may take.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        workplace: Workplace,
        registrar: Registrar,
        *,
        grace: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workplace = workplace
        self._registrar = registrar
        self._grace = grace
        self._clock = clock
        self._due_at: float | None = None
        self._is_told = False
        self._heard, self._tell = os.pipe()
        self._pid = os.getpid()

    def listen(self) -> None:
        """Take the signals over from Celery; in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._watch, name="shutdown", daemon=True).start()

    def ask(self, *, hurried: bool = False) -> None:
        """Begin to stop; asked a second time, hurry."""
        now = self._clock()
        if self._due_at is None and not hurried:
            self._due_at = now + self._grace.total_seconds()
        else:
            self._due_at = min(now, self._due_at or now)

    def look(self) -> None:
        """Do what is due; called again and again on the worker's own thread."""
        if self._due_at is None or state.should_stop is not None:
            return
        if not self._is_told:
            self._is_told = True
            _log.info("told to stop; what runs may finish", grace_seconds=self._grace.total_seconds())
        self._registrar.close()
        self._workplace.stop_consuming()
        if self._clock() >= self._due_at:
            self._hand_back()
        if not self._registrar.running():
            for in_hand in self._registrar.not_started():  # now, while it is certain that they are ours
                self._registrar.hand_back(in_hand)
            state.should_stop = os.EX_OK

    def _hand_back(self) -> None:
        failure = Failure("Shutdown", "its worker was told to stop and the grace had passed")
        for in_hand in self._registrar.running():
            if in_hand.pid is not None:  # else it begins at this moment; the next look finds it
                _log.warning("ending what still runs", **in_hand.attempt.fields())
                self._workplace.end_child(in_hand.pid)
                self._registrar.give_up(in_hand, Died(failure, "shutdown", is_spared=True))

    def _on_signal(self, number: int, _frame: object) -> None:
        if os.getpid() == self._pid:  # a child inherits this; what stops it is its worker
            self.ask(hurried=number == signal.SIGQUIT)
            os.write(self._tell, b".")

    def _watch(self) -> None:
        """Beside the worker's own loop, which does not turn while the broker is away."""
        os.read(self._heard, 1)
        while not self._is_overdue():
            if not self._workplace.is_connected():
                state.should_stop = os.EX_OK
            time.sleep(LOOK_EVERY_SECONDS)
        state.should_stop = os.EX_OK
        for pid in self._workplace.children():
            _log.error("ending a child that is still there; its message will be delivered again", pid=pid)
            os.kill(pid, signal.SIGKILL)

    def _is_overdue(self) -> bool:
        return self._due_at is not None and self._clock() > self._due_at + MARGIN_SECONDS

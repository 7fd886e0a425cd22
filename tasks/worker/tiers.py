"""All four tiers on one machine: a process each, started again when it dies, stopped together."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from celery.platforms import set_pdeathsig

from domain.tier import Tier
from infra.stopping import ASKING, StopRequest

LOOK_EVERY_SECONDS: Final = 0.2
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
"""Also how long a worker has to live for its death to count as the first again."""

_log = structlog.get_logger("ledgerq.worker")


@dataclass
class TierProcess:
    """The worker process of one tier, and when it is started again should it die."""

    tier: Tier
    concurrency: int
    process: subprocess.Popen[bytes] | None = None
    pause_seconds: float = FIRST_PAUSE_SECONDS
    start_at: float = 0.0
    started_at: float = 0.0

    def look(self, now: float) -> None:
        """Start it if it is not there and its pause has passed."""
        if self.process is not None and self.process.poll() is not None:
            if now - self.started_at > LONGEST_PAUSE_SECONDS:
                self.pause_seconds = FIRST_PAUSE_SECONDS
            _log.error("worker died", tier=self.tier.value, status=self.process.returncode, again_in=self.pause_seconds)
            self.process, self.start_at = None, now + self.pause_seconds
            self.pause_seconds = min(self.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        if self.process is None and now >= self.start_at:
            self.started_at = now
            self.process = subprocess.Popen(  # noqa: S603  our own command line
                (
                    sys.executable,
                    "-m",
                    "infra.cli",
                    "worker",
                    "--tier",
                    self.tier,
                    "--concurrency",
                    str(self.concurrency),
                ),
                preexec_fn=_end_with_parent,  # noqa: PLW1509  no thread of ours exists yet
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ask it to finish what runs and end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def hurry(self) -> None:
        """Have it hand back what runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return 0 if self.process is None else self.process.wait()


def run_all_tiers(concurrency: int) -> int:
    """Run until SIGTERM or Ctrl-C, then stop all and wait for them; the exit status is 1 if one stopped badly.

    A second signal, or SIGQUIT, is passed on: what runs goes back at once.
    """
    processes = [TierProcess(tier, concurrency) for tier in Tier]
    quits: list[int] = []

    def quit_(number: int, _frame: object) -> None:
        quits.append(number)
        signal.raise_signal(signal.SIGTERM)

    with StopRequest() as stop:
        signal.signal(signal.SIGQUIT, quit_)
        while not stop.wait(LOOK_EVERY_SECONDS):
            for process in processes:
                process.look(time.monotonic())
        with _hurried(processes):
            for process in processes:
                (process.hurry if quits else process.stop)()
            return max(int(process.wait() != 0) for process in processes)


@contextmanager
def _hurried(processes: Sequence[TierProcess]) -> Iterator[None]:
    """Pass a signal that comes now on to all ``processes``."""

    def hurry(*_signal: object) -> None:
        for process in processes:
            process.hurry()

    for number in (*ASKING, signal.SIGQUIT):
        signal.signal(number, hurry)
    yield


def _end_with_parent() -> None:
    """Linux: a tier whose supervisor is killed finishes what runs and ends, instead of running on unseen."""
    set_pdeathsig("SIGTERM")

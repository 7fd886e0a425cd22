"""Revoking: attempts in hand of runs that are not to be executed any longer are ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from domain.task_run import TaskRevoked
from infra.event_store.revocations import Revocation
from tasks.worker.licensed import revoked_by_license
from tasks.worker.outcome import Failure, NotRun, cut

if TYPE_CHECKING:
    from tasks.worker.directives import Directives
    from tasks.worker.in_hand import InHand
    from tasks.worker.registrar import Registrar

GRACE_SECONDS: Final = 5.0
"""How long a task that was told to end (SIGTERM, an exception ``SystemExit`` in it) may take before it is killed."""

_log = structlog.get_logger("ledgerq.worker")


class Pool(Protocol):
    """What is needed of Celery's pool."""

    def terminate_job(self, pid: int, signal: int) -> None:
        """Send a signal to the child, which was told so because of its task."""


class Revoking:
    """Used by the consumer's thread alone.

    Args:
        directives: which runs are revoked.
        registrar: knows what is in hand.
        pool: executes it.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        directives: Directives,
        registrar: Registrar,
        pool: Pool,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directives = directives
        self._registrar = registrar
        self._pool = pool
        self._clock = clock

    def look(self) -> None:
        """End what is in hand and revoked; called again and again."""
        for in_hand in self._registrar.undecided():
            revocation = self._directives.revocation_of(in_hand.attempt) or revoked_by_license(in_hand)
            if revocation is not None:
                self._end(in_hand, revocation)

    def _end(self, in_hand: InHand, revocation: Revocation) -> None:
        if not in_hand.is_sent:
            self._registrar.give_up(in_hand, revoked(revocation))
        elif in_hand.pid is None:
            return  # it begins at this moment; the next look finds it
        elif in_hand.revoked_at is None:
            _log.warning("ending a revoked run", **in_hand.attempt.fields())
            in_hand.revocation, in_hand.revoked_at = revocation, self._clock()
            self._pool.terminate_job(in_hand.pid, SIGTERM)
        elif self._clock() - in_hand.revoked_at > GRACE_SECONDS:
            self._registrar.give_up(in_hand, revoked(revocation))
            self._pool.terminate_job(in_hand.pid, SIGKILL)


def revoked(revocation: Revocation) -> NotRun:
    """The outcome of an attempt that is not, or no longer, to be executed."""
    failure = Failure(revocation.error_type, cut(revocation.text))
    return NotRun(TaskRevoked.TOPIC, failure, decided_by=revocation.decided_by)

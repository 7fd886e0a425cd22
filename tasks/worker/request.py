"""Celery's request, with the ends of an attempt told to the registrar instead of decided on the spot."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import TaskRevokedError
from celery.worker import state
from celery.worker.request import Request

from domain.task_run import TaskExpired, TaskRejected, TaskRevoked
from infra.event_store.revocations import Revocation
from tasks.worker.in_hand import InHand
from tasks.worker.outcome import Annotated, Died, Failure, NotRun, Outcome, Raised, TimedOut
from tasks.worker.pace import Pace
from tasks.worker.registrar import NO_RULES, Registrar
from tasks.worker.retry import AttemptRules
from tasks.worker.revoking import revoked

_DEADLY: Final = (WorkerLostError, SystemExit, KeyboardInterrupt, MemoryError)
_log = structlog.get_logger("ledgerq.worker")


class RecordedRequest(Request):  # type: ignore[misc]  # Celery is untyped
    """One attempt on its way through the pool. Every callback below runs in the worker's main process.

    Celery would acknowledge, requeue or retry in these callbacks, and in some lose or repeat the message for ever; here
    each only says what happened, once.
    """

    acknowledged: bool = False
    """Celery's word for "its end is decided"."""

    def __init__(
        self,
        message: Any,
        *,
        in_hand: InHand,
        registrar: Registrar,
        pace: Pace,
        stands: Callable[[], bool] = lambda: True,
        **celery: Any,
    ) -> None:
        super().__init__(message, **celery)
        self._in_hand = in_hand
        self._registrar = registrar
        self._pace = pace
        self._stands = stands
        self._received_at = datetime.now(UTC)

    def execute_using_pool(self, pool: Any, **kwargs: Any) -> Any:
        """Hand the attempt to the pool.

        Raises:
            TaskRevokedError: it could not be, or is not to be, and its end is told; Celery then takes its place back.
                After any other exception it would not.
        """
        if self._registrar.is_closed or not self._stands():
            state.task_ready(self)
            raise TaskRevokedError(self.id)  # not begun: it is handed back, or was revoked while it waited
        self._in_hand.is_sent = True
        self._pace.begin(self, now=time.monotonic())
        try:
            return super().execute_using_pool(pool, **kwargs)
        except TaskRevokedError:
            self._pace.finish(self, now=time.monotonic())
            raise
        except Exception as error:
            _log.exception("the pool did not take an attempt", run_id=self.id, task=self.name)
            self._conclude(NotRun(TaskRejected.TOPIC, Failure.of(error)))
            raise TaskRevokedError(self.id) from error

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """A child took the task; ``time_accepted`` is on its monotonic clock, which is this machine's."""
        self.worker_pid = pid
        self.time_start = time.time() - (time.monotonic() - time_accepted)
        state.task_accepted(self)
        started_at = datetime.fromtimestamp(self.time_start, UTC)
        self._registrar.started(self._in_hand, at=started_at, received_at=self._received_at, pid=pid)
        if self._terminate_on_ack is not None:
            self.terminate(*self._terminate_on_ack)

    def on_success(self, failed__retval__runtime: tuple[int, Any, float | None], **_kwargs: Any) -> None:
        """The child reported; what it reports is an outcome, good or bad, unless reporting itself failed."""
        failed, reported, runtime = failed__retval__runtime
        if failed:
            self.on_failure(reported)
        else:
            if isinstance(reported, Annotated):
                self._in_hand.span_attributes, reported = reported.attributes, reported.outcome
            self._conclude(reported, runtime_seconds=runtime)

    def on_failure(self, exc_info: Any, **_kwargs: Any) -> None:
        """The child could not report: it died, was killed, or what it ran broke outside the task."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, (WorkerLostError, Terminated)) and (state.should_terminate or self._already_cancelled):
            # We killed it while shutting down cold. The message goes back unacknowledged, marked as redelivered, and
            # the next worker records what that means.
            state.task_ready(self)
            self._pace.finish(self, now=time.monotonic())
            return
        self._conclude(_outcome_of(error, exc_info, self._in_hand.revocation))

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001  billiard's signature
        """A limit passed. The soft one becomes an exception in the task; the hard one has come as a failure."""
        limit = "soft" if soft else "hard"
        _log.warning("time limit passed", limit=limit, seconds=timeout, run_id=self.id, task=self.name)

    def hand_back(self) -> None:
        """Nobody has begun it and nobody will here; nothing is to be done where its end was decided meanwhile."""
        state.task_ready(self)
        if self._registrar.has(self._in_hand):
            self._registrar.hand_back(self._in_hand)

    def acknowledge(self) -> None:
        """Left to the registrar: the outcome has to be recorded first."""

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002  Celery's signature
        """Left to the registrar."""

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:  # noqa: FBT001
        """Celery found the task to be revoked or expired."""
        del signum, terminated
        self._already_revoked = True
        if expired:
            state.revoked.discard(self.id)  # Celery put it there; a replay of the run is not revoked
            text = f"expired at {self.expires.isoformat()}"
            self._conclude(NotRun(TaskExpired.TOPIC, Failure("Expired", text)))
        else:
            self._conclude(NotRun(TaskRevoked.TOPIC, Failure("Revoked", reason)))

    def _conclude(self, outcome: Outcome, *, runtime_seconds: float | None = None) -> None:
        state.task_ready(self)
        self._pace.finish(self, now=time.monotonic())
        if self.acknowledged:
            return
        self.acknowledged = True
        if runtime_seconds is None and self.time_start:
            runtime_seconds = max(0.0, time.time() - self.time_start)
        self._registrar.conclude(self._in_hand, outcome, self._rules(), runtime_seconds=runtime_seconds)

    def _rules(self) -> AttemptRules:
        try:
            return AttemptRules.of(self.task)
        except (TypeError, ValueError):
            _log.exception("a task's rules for another attempt cannot be read; there is none", task=self.name)
            return NO_RULES


def _outcome_of(error: BaseException, exc_info: Any, revocation: Revocation | None) -> Outcome:
    if revocation is not None and isinstance(error, (Terminated, *_DEADLY)):
        return revoked(revocation)
    if isinstance(error, Terminated):
        return NotRun(TaskRevoked.TOPIC, Failure("Revoked", f"terminated: {error}"))
    if isinstance(error, TimeLimitExceeded):
        seconds = error.args[0] if error.args else "?"
        return TimedOut(Failure("TimeLimitExceeded", f"hard time limit of {seconds} s passed"))
    if isinstance(error, _DEADLY):
        return Died(Failure.of(error))
    return Raised(Failure.of(error, str(exc_info.traceback)))

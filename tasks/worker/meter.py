"""What a worker shows of its attempts, as metrics. Its children report to the main process, which counts."""

from __future__ import annotations

import time
from collections import Counter as Counted
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Final

from prometheus_client import Counter, Gauge

from domain.task_run import HoldReason
from domain.tier import Tier
from infra.metrics import catalog
from infra.metrics.buckets import Buckets
from infra.metrics.instruments import Instruments
from infra.metrics.metric import Metric
from tasks.worker.attempt import Attempt
from tasks.worker.verdict import Verdict

SUCCEEDED: Final = "succeeded"
RETRIED: Final = "retried"
WAITED: Final = "waited"
HANDED_OVER: Final = "handed_over"
OUTCOMES: Final = (
    SUCCEEDED, "failed", "timed_out", "lost", "rejected", "revoked", "expired", RETRIED, WAITED, HANDED_OVER,
)  # fmt: skip
SPENT_BY: Final = ("exception", "worker_lost", "redelivered", "shutdown", "snooze")
FOLD_SECONDS: Final = 1.0
ETA: Final = "eta"
"""Why a message is held whose time has not come."""


class _ByName(dict[str, Counter]):
    """The counters of a metric by the last of its labels: some from the start, and whatever else comes to be said.

    What appears with its first failure would have no rise to be seen.
    """

    def __init__(self, make: Callable[[str], Counter], names: Iterable[str]) -> None:
        super().__init__((name, make(name)) for name in names)
        self._make = make

    def __missing__(self, name: str) -> Counter:
        made = self[name] = self._make(name)
        return made


class _TaskCounts:
    """The counters of one task: kept, for to look them up costs as much as to count."""

    __slots__ = ("duration", "last_success", "outcomes", "retries", "started")

    def __init__(self, instruments: Instruments, task: str, tier: str) -> None:
        self.started: Counter = instruments.counter(catalog.ATTEMPTS_STARTED, task, tier)
        self.duration: Buckets = instruments.histogram(catalog.ATTEMPT_DURATION, task, tier)
        self.last_success: Gauge | None = None  # at 0 it would have succeeded in 1970
        self.outcomes = _ByName(partial(instruments.counter, catalog.ATTEMPTS, task, tier), OUTCOMES)
        self.retries = _ByName(partial(instruments.counter, catalog.RETRIES, task, tier), SPENT_BY)


class WorkerMeter:
    """Counts attempts; used by the consumer's thread alone.

    Args:
        instruments: those of a worker.
        tier: the one it serves.
        tasks: names of those it knows; what comes under another name counts as ``other``.
    """

    def __init__(self, instruments: Instruments, *, tier: Tier, tasks: Collection[str]) -> None:
        self._instruments = instruments
        self._tier = tier.value
        names = (*(name for name in tasks if not name.startswith("celery.")), catalog.OTHER)
        self._tasks = {name: _TaskCounts(instruments, name, self._tier) for name in names}
        self._other = self._tasks[catalog.OTHER]
        self._prefetched = instruments.histogram(catalog.ATTEMPT_PREFETCHED, self._tier)
        reasons = (ETA, *(reason.value for reason in HoldReason))
        self._begun: list[tuple[str, timedelta]] = []
        self._ended: list[tuple[str, Verdict, float | None]] = []
        self._held = _ByName(partial(instruments.counter, catalog.HELD, self._tier), reasons)

    def started(self, attempt: Attempt, *, waited: timedelta) -> None:
        """A child began an attempt that had waited in this worker."""
        self._begun.append((attempt.task, waited))

    def held(self, because: HoldReason | None) -> None:
        """A message went back to wait; None: its time has not come."""
        self._held[ETA if because is None else because.value].inc()

    def concluded(self, attempt: Attempt, verdict: Verdict, *, runtime_seconds: float | None) -> None:
        """An attempt came to an outcome."""
        self._ended.append((attempt.task, verdict, runtime_seconds))

    def fold(self) -> None:
        """Count what was told since the last time; called every :data:`FOLD_SECONDS`.

        In one go, for between two tasks the counters have gone from the processor's caches: there each of them costs
        several times as much.
        """
        begun, self._begun = self._begun, []
        for _, waited in begun:
            self._prefetched.observe(max(0.0, waited.total_seconds()))
        for task, many in Counted(task for task, _ in begun).items():
            self._of(task).started.inc(many)
        ended, self._ended = self._ended, []
        for task, _, runtime_seconds in ended:
            if runtime_seconds is not None:
                self._of(task).duration.observe(runtime_seconds)
        for (task, outcome), many in Counted((task, _outcome(verdict)) for task, verdict, _ in ended).items():
            self._of(task).outcomes[outcome].inc(many)
            if outcome == SUCCEEDED:
                self._note_success(task)
        for task, verdict, _ in ended:
            if verdict.following is not None and not verdict.waits:
                self._of(task).retries[verdict.data["spent_by"]].inc()

    def _of(self, task: str) -> _TaskCounts:
        return self._tasks.get(task, self._other)

    def _note_success(self, task: str) -> None:
        counts = self._of(task)
        if counts.last_success is None:
            name = task if task in self._tasks else catalog.OTHER
            counts.last_success = self._instruments.gauge(catalog.LAST_SUCCESS, name, self._tier)
        counts.last_success.set(time.time())

    def show(self, found: Mapping[Metric, Callable[[], float]]) -> None:
        """Have these gauges of the worker looked up at each look; from another thread, so each must be quick."""
        for metric, look in found.items():
            self._instruments.gauge(metric, self._tier).set_function(look)


def _outcome(verdict: Verdict) -> str:
    if verdict.waits:
        return WAITED
    if verdict.following is not None:
        return RETRIED
    return HANDED_OVER if verdict.name is None else verdict.name.removeprefix("task.")

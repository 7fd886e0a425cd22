"""Attempts of tasks with limits: once a child is free for one, it is asked whether it may begin."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from celery.exceptions import TaskRevokedError
from celery.worker import state

from domain.limits import NO_LIMITS, Limits
from domain.task_run import HoldReason
from infra.database.permits import Lease, Permit, Question
from tasks.worker.attempt import Attempt
from tasks.worker.hold import times_held
from tasks.worker.outcome import cut
from tasks.worker.permits import Permits
from tasks.worker.request import RecordedRequest

SHORTEST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 16.0
"""Bounds of the wait where nobody knows when a place will be free."""
KEY_CHARACTERS: Final = 200


class Place(Protocol):
    """The place at the pool that an attempt has taken."""

    def call_soon(self, call: Any, *arguments: Any) -> Any:
        """Call on the consumer's own thread."""

    def give_place_back(self) -> None:
        """The next in line may have the child that is free."""


class LimitedRequest(RecordedRequest):
    """An attempt that asks for a permit before it is handed to the pool.

    It asks when a child is free for it and keeps the child waiting for the few milliseconds: what begins, begins at the
    moment that the limiter knows.
    """

    def __init__(self, message: Any, *, limits: Limits, permits: Permits, place: Place, **recorded: Any) -> None:
        super().__init__(message, **recorded)
        self._limits = limits
        self._permits = permits
        self._place = place
        self._lease = lease_of(self._in_hand.attempt, limits, message.payload[1])

    def execute_using_pool(self, pool: Any, **kwargs: Any) -> None:
        """Ask; the answer hands the attempt to the pool, or back to the broker.

        Raises:
            TaskRevokedError: it is not to begin; Celery then takes its place back.
        """
        if self._registrar.is_closed or self._in_hand.fate is not None:
            super().execute_using_pool(pool, **kwargs)  # which says so
        answered = partial(self._answered, pool, kwargs)
        self._permits.ask(Question(self._lease, self._limits), partial(self._place.call_soon, answered))

    def _answered(self, pool: Any, kwargs: dict[str, Any], permit: Permit) -> None:
        if not self._registrar.has(self._in_hand):
            if self._in_hand.fate is not None:
                state.task_ready(self)
                self._place.give_place_back()
            return  # else the connection was lost: all places are free again, and the message will come again
        if permit.verdict != "granted":
            self._wait(HoldReason(permit.verdict), permit.wait_seconds)
            return
        if self._limits.concurrency is not None:
            self._permits.hold(self._lease)
            self._in_hand.let_go = partial(self._permits.release, self._lease)
        try:
            super().execute_using_pool(pool, **kwargs)
        except TaskRevokedError:
            self._registrar.drop_lease(self._in_hand)
            self._place.give_place_back()

    def _wait(self, because: HoldReason, seconds: float | None) -> None:
        now = datetime.now(UTC)
        if seconds is None:
            longest = min(LONGEST_SECONDS, 2.0 * 2 ** times_held(self._in_hand.attempt, because))
            seconds = random.uniform(SHORTEST_SECONDS, longest)  # noqa: S311  not for secrets
        state.task_ready(self)
        eta = now + timedelta(seconds=max(SHORTEST_SECONDS, seconds))
        self._registrar.hold(self._in_hand, eta=eta, now=now, because=because)
        self._place.give_place_back()


def limits_of(task: Any, in_place: Mapping[str, Limits]) -> Limits:
    """The limits that hold for a task: those that people put ``in_place`` of its own, else those it declares."""
    limits = in_place.get(task.name) if in_place else None
    if limits is None:
        limits = getattr(task, "limits", NO_LIMITS)
    return limits if isinstance(limits, Limits) else NO_LIMITS


def lease_of(attempt: Attempt, limits: Limits, kwargs: Mapping[str, Any]) -> Lease:
    """The place that the attempt would take; with limits by key, among those of its key's value."""
    name = limits.concurrency.key if limits.concurrency else None
    value = None if name is None else kwargs.get(name)
    if value is None and name == "license_id" and attempt.envelope is not None:
        value = attempt.envelope.license_id
    return Lease(
        attempt.task, "" if value is None else cut(str(value).replace("\0", "\ufffd"), KEY_CHARACTERS), attempt.run_id
    )

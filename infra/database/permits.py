"""Permits to begin runs of limited tasks, kept in schema ``flow``: statements, on a connection of the caller's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.limits import Limits

LEASE: Final = timedelta(seconds=20)
"""How long the leases of a worker last that is not heard of."""

_ASK: Final = """
    select verdict, wait_seconds
    from flow.ask(%s, %s, %s::text[], %s::text[], %s::float8[], %s::int[], %s::int[], %s::text[])
"""
_STAY: Final = "select flow.stay(%s, %s, %s, %s::text[], %s::text[], %s::text[])"
_RELEASE: Final = """
    delete from flow.leases l using unnest(%s::text[], %s::text[], %s::text[]) as done (task, key, run_id)
    where l.holder = %s and (l.task, l.key, l.run_id) = (done.task, done.key, done.run_id)
"""
_LEAVE: Final = "delete from flow.holders where holder = %s"


class Lease(NamedTuple):
    """One of the places that a task has for a key, and the run that takes it."""

    task: str
    key: str
    run_id: str


class Question(NamedTuple):
    """May the run begin, under these limits?"""

    lease: Lease
    limits: Limits


class Permit(NamedTuple):
    """The answer.

    Attributes:
        verdict: ``granted``, ``rate_limited`` or ``concurrency_limited``.
        wait_seconds: when to ask again, where the limiter has an opinion.
    """

    verdict: str
    wait_seconds: float | None


def ask(connection: Connection[Any], holder: UUID, questions: Sequence[Question]) -> list[Permit]:
    """Answers in the order of ``questions``, which has to be that of their tasks: each task is locked."""
    leases = [question.lease for question in questions]
    rates = [question.limits.rate for question in questions]
    concurrencies = [question.limits.concurrency for question in questions]
    columns = [
        [lease.run_id for lease in leases],
        [lease.task for lease in leases],
        [rate.interval.total_seconds() if rate else None for rate in rates],
        [rate.burst_permits if rate else None for rate in rates],
        [concurrency.most if concurrency else None for concurrency in concurrencies],
        [lease.key for lease in leases],
    ]
    return [Permit(*row) for row in connection.execute(_ASK, [holder, LEASE, *columns]).fetchall()]


def stay(connection: Connection[Any], holder: UUID, worker: str, leases: Collection[Lease]) -> None:
    """Say that the worker lives, and which leases it needs."""
    connection.execute(_STAY, [holder, worker, LEASE, *_columns(leases)])


def release(connection: Connection[Any], holder: UUID, leases: Collection[Lease]) -> None:
    """Give leases back."""
    connection.execute(_RELEASE, [*_columns(leases), holder])


def leave(connection: Connection[Any], holder: UUID) -> None:
    """The worker ends, and its leases with it."""
    connection.execute(_LEAVE, [holder])


def _columns(leases: Collection[Lease]) -> list[list[str]]:
    return [
        [lease.task for lease in leases],
        [lease.key for lease in leases],
        [lease.run_id for lease in leases],
    ]

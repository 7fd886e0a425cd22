"""The starvation guard: runs that waited for too long while more urgent ones began are raised above them.

A priority queue does not change a message that is in it. So the fact is recorded that another copy counts from now on,
at the queue's highest priority; every worker hears of it and drops the older message wherever it meets it; and dispatch
publishes the copy once that is certain (`tasks.dispatch.copies`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid5

from sqlalchemy import Engine

from domain.cause import Cause
from domain.refusal import Refusal
from domain.run import RunNotWaiting, TaskRun
from domain.task_run import TaskEvent, run_stream
from domain.tier import Tier
from infra.event_store import EventStore, Log, NewEvent, Recorded
from projections.queries import StarvingRun, starving_runs
from tasks.app import task
from tasks.catalog.reading import read_models
from tasks.catalog.run_cause import run_cause
from tasks.wiring import wiring
from tasks.worker.retry import NO_RETRIES

RAISED_AT_ONCE: Final = 100
"""Of all queues together: who is raised passes others, and a crowd of them would be a backlog of its own."""
_CONTEXT: Final[tuple[str, ...]] = ("correlation_id", "traceparent", "tenant")
_HIGHEST: Final = {tier.queue: tier.max_priority for tier in Tier}


def raise_starving(store: EventStore, engine: Engine, *, cause: Cause, waited: timedelta) -> Counter[str]:
    """Raise every run that waited for longer than ``waited`` while a more urgent one of its queue began.

    The read model suggests runs, each run decides. Any number of guards at once give the same as one.

    Returns:
        how many were found, raised, and refused (they had begun meanwhile, or been raised already).
    """
    with read_models(engine) as connection:
        found = starving_runs(connection, below=_HIGHEST, waited=waited, limit=RAISED_AT_ONCE)
    stories = store.load_recorded(Log.TASKS, [run_stream(each.run_id) for each in found])
    counts = Counter(found=len(found), raised=0, refused=0)
    facts = []
    for each in found:
        try:
            facts.append(_raised(each, stories.get(run_stream(each.run_id), []), cause))
        except Refusal:
            counts["refused"] += 1
    verdicts = store.append_each(Log.TASKS, facts) if facts else []
    counts["raised"] = sum(verdict.outcome == "stored" for verdict in verdicts)
    return counts


def _raised(starving: StarvingRun, story: Sequence[Recorded], cause: Cause) -> NewEvent:
    """The fact, told as part of the run's own story."""
    if not story:  # a read model that is ahead of a log that was restored
        raise RunNotWaiting(run_stream(starving.run_id), state="unknown")
    run = TaskRun.fold([each.event for each in story if isinstance(each.event, TaskEvent)])
    fact = run.raise_priority(queue=starving.queue, to=_HIGHEST[starving.queue], at=cause.at)
    context = {key: story[0].metadata[key] for key in _CONTEXT if key in story[0].metadata}
    return NewEvent(fact, uuid5(cause.id, f"{run.run_id}/{fact.copy}"), {**cause.metadata(), **context})


@task("raise_starving_runs", bind=True, retry_policy=NO_RETRIES)  # the next slot comes soon
def raise_starving_runs(self: Any) -> dict[str, int]:
    """Raise runs that have waited for too long; how many were ``found``, ``raised`` and ``refused``."""
    wired = wiring()
    cause = run_cause(self, at=datetime.now(UTC))
    waited = timedelta(seconds=wired.settings.starvation_after_seconds)
    return dict(raise_starving(wired.store, wired.engine, cause=cause, waited=waited))

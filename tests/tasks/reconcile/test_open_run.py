"""Where the log says an open run's message should be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.cause import Cause
from domain.task_run import task_event
from infra import database
from infra.event_store import EventStore, Log, caused
from infra.settings import Settings
from tasks.reconcile.open_run import Place, open_runs

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RUN = str(uuid4())


def told(name: str, **data: object) -> tuple[str, dict[str, object]]:
    return (f"task.{name}", {"task": "bill", **data})


WAITS = told("wait_began", attempt=1, terms={"until": NOW.isoformat()}, message={"body": "[]", "size_bytes": 2})
WAITED = [WAITS, told("wait_satisfied", attempt=1)]
DEFERRED = told("received", attempt=1, eta=NOW + timedelta(seconds=8), because="license_suspended")


@pytest.mark.parametrize(
    ("after", "place"),
    [([], Place.LADDER), ([told("started", attempt=1)], Place.WORKER)],
    ids=["deferred", "begun since"],
)
def test_a_run_that_its_license_deferred_waits_in_the_ladder_until_it_begins(
    store: EventStore, fresh_platform: Settings, after: list[tuple[str, dict[str, object]]], place: Place
) -> None:
    story = [told("requested", tier="low"), told("published", queue="tasks.low", priority=1), DEFERRED, *after]
    events = [task_event(name, RUN, at=NOW, data=data) for name, data in story]
    store.append(Log.TASKS, [new for each in events for new in caused([each], Cause(id=uuid4(), at=NOW, actor="test"))])
    with database.connect(fresh_platform, name="test") as connection:
        (run,) = open_runs(connection)
    assert (run.place, run.is_held) == (place, place is Place.LADDER)


@pytest.mark.parametrize(
    ("after", "expected"),
    [([WAITS], (Place.LOG, 2, 1, False)), (WAITED, (Place.QUEUE, 2, 1, True))],
    ids=["waits", "goes on"],
)
def test_a_run_that_waits_is_in_the_log_until_dispatch_lets_its_next_attempt_go_on(
    store: EventStore,
    fresh_platform: Settings,
    after: list[tuple[str, dict[str, object]]],
    expected: tuple[Place, int, int, bool],
) -> None:
    events = [task_event(name, RUN, at=NOW, data=data) for name, data in [told("started", attempt=1), *after]]
    store.append(Log.TASKS, [new for each in events for new in caused([each], Cause(id=uuid4(), at=NOW, actor="test"))])
    with database.connect(fresh_platform, name="test") as connection:
        (run,) = open_runs(connection)
    assert (run.place, run.attempt, run.spared, run.resumed_position is not None) == expected

"""Requests for a tier whose backlog is full are refused, if an operator wants that; recorded, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from domain.tier import Tier
from infra.broker.emitter import Emitter
from infra.cloudevents import CloudEvent, new_event
from infra.event_store import EventStore
from infra.settings import Settings
from tasks.ingest.admission import COUNT_SECONDS, Admission
from tasks.ingest.batch import Batches
from tasks.ingest.reading import read
from tests.infra.broker.virtual_host import VirtualHost
from tests.tasks.ingest.deliveries import delivery, told
from tests.tasks.ingest.looking import Database
from tests.tasks.ingest.remembering import remembering
from tests.tasks.ingest.running import IngestProcess
from tests.waiting import eventually

EVERYTHING = 1_000_000


def request(task: str, **data: object) -> CloudEvent:
    return told("task.requested", task=task, tier="critical", **data)


@pytest.fixture
def task() -> str:
    """A name that no other test uses."""
    return f"task.{uuid4().hex}"


@pytest.fixture
def batches(store: EventStore, place: Settings) -> Batches:
    """An ingest with room for three more critical runs; nobody dispatches here."""
    limit = store.backlog(Tier.CRITICAL, most=EVERYTHING) + 3
    limited = place.model_copy(update={"tier_backlog_limit_runs": limit})
    return Batches(store, limited, **remembering())


def test_what_is_over_the_limit_is_refused_and_recorded(batches: Batches, looking: Database, task: str) -> None:
    rejected = batches.take([delivery(request(task)) for _ in range(5)])
    assert [each.reason for each in rejected] == ["BacklogFull"] * 2
    assert "tier critical is full" in rejected[0].detail
    assert looking.requests(task) == 3
    assert looking.reasons(task) == ["BacklogFull"] * 2


def test_another_tier_has_room(batches: Batches, looking: Database, task: str) -> None:
    batches.take([delivery(request(task)) for _ in range(4)])
    low = told("task.requested", task=task, tier="low")
    assert batches.take([delivery(low)]) == []
    assert looking.requests(task) == 4


def test_a_forced_request_is_accepted_all_the_same(batches: Batches, looking: Database, task: str) -> None:
    batches.take([delivery(request(task)) for _ in range(3)])
    assert batches.take([delivery(request(task, force=True))]) == []
    assert looking.requests(task) == 4


def test_a_request_that_was_accepted_before_is_a_repeat_and_not_refused(batches: Batches, task: str) -> None:
    first = request(task)
    batches.take([delivery(first), delivery(request(task)), delivery(request(task))])
    assert batches.take([delivery(first)]) == []


def test_no_limit_is_set_unless_an_operator_sets_one(
    store: EventStore, place: Settings, looking: Database, task: str
) -> None:
    batches = Batches(store, place, **remembering())
    assert batches.take([delivery(request(task)) for _ in range(50)]) == []
    assert looking.requests(task) == 50


class Counted:
    """A store that counts how often it is asked, and whose backlog is always as said."""

    def __init__(self, backlog: int) -> None:
        self.asked = 0
        self._backlog = backlog

    def backlog(self, _tier: Tier, *, most: int) -> int:
        self.asked += 1
        return min(self._backlog, most)


def test_the_backlog_is_counted_at_most_once_a_second_and_what_is_let_in_is_added(task: str) -> None:
    store, now = Counted(7), 100.0
    admission = Admission(store, limit_runs=10, clock=lambda: now)  # type: ignore[arg-type]
    (one,) = read([delivery(request(task))], limit_bytes=100_000).told

    def refused() -> list[bool]:
        return [admission.refusal(one.data, "task_run-1") is not None for _ in range(4)]  # type: ignore[arg-type]

    assert refused() == [False, False, False, True]
    now += COUNT_SECONDS / 2
    assert (refused(), store.asked) == ([True] * 4, 1)
    now += COUNT_SECONDS
    assert (refused(), store.asked) == ([False, False, False, True], 2)


@pytest.mark.system
def test_a_refused_request_lies_in_ingest_dead_with_its_reason(
    place: Settings,
    store: EventStore,
    host: VirtualHost,
    start: Callable[..., IngestProcess],
    looking: Database,
    task: str,
) -> None:
    limit = store.backlog(Tier.CRITICAL, most=EVERYTHING) + 1
    start(tier_backlog_limit_runs=limit).begins()
    with Emitter(place, role="test") as emitter:
        for _ in range(3):
            emitter.emit(new_event("task.requested", source="/tests", data={"task": task, "tier": "critical"}))
    eventually(lambda: host.depth("ingest.dead") == 2)
    headers = host.take("ingest.dead").properties.headers
    assert headers["x-ledgerq-reason"] == "BacklogFull"
    assert "ask later" in headers["x-ledgerq-detail"]
    assert (looking.requests(task), looking.reasons(task)) == (1, ["BacklogFull"] * 2)

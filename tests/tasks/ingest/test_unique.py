"""What is asked for twice under one key within its window runs once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.unique_key import RequestFolded, folded_stream
from infra.cloudevents import CloudEvent
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tasks.ingest import runs, unique
from tests.tasks.ingest.deliveries import told
from tests.tasks.ingest.test_runs import append, decided


def request(key: str, **data: Any) -> tuple[str, CloudEvent]:
    """A request with a unique key, and the run it would be."""
    run_id = str(uuid4())
    return run_id, told("task.requested", task=data.pop("task", "report"), run_id=run_id, unique_key=key, **data)


def is_accepted(store: EventStore, run_id: str) -> bool:
    return f"task_run-{run_id}" in store.load(Log.TASKS, [f"task_run-{run_id}"])


def holder(store: EventStore, event: CloudEvent) -> str | None:
    """The run that the request was folded into."""
    stream = folded_stream(event.unique_id)
    for fact in store.load(Log.LICENSING, [stream]).get(stream, []):
        assert isinstance(fact, RequestFolded)
        return fact.run_id
    return None


@pytest.fixture
def key() -> str:
    return str(uuid4())


def test_a_second_request_within_the_window_is_folded_into_the_first_run(store: EventStore, key: str) -> None:
    (first, one), (second, two) = request(key, unique_for_seconds=60), request(key, unique_for_seconds=60)
    append(store, one)
    append(store, two)
    assert (is_accepted(store, first), is_accepted(store, second)) == (True, False)
    assert (holder(store, one), holder(store, two)) == (None, first)


def test_it_makes_no_difference_that_both_come_in_one_batch(store: EventStore, key: str) -> None:
    (first, one), (second, two) = request(key), request(key)
    append(store, one, two)
    assert (is_accepted(store, first), is_accepted(store, second), holder(store, two)) == (True, False, first)


def test_of_fifty_requests_in_fifty_processes_one_becomes_a_run(place: Settings, key: str) -> None:
    asked = [request(key, unique_for_seconds=60) for _ in range(50)]
    url = place.database_url.get_secret_value()

    def take_in(event: CloudEvent) -> None:
        with EventStore(url, connections=1) as own:
            append(own, event)

    with ThreadPoolExecutor(25) as pool:
        list(pool.map(take_in, [event for _, event in asked]))
    with EventStore(url, connections=1) as store:
        (winner,) = [run_id for run_id, _ in asked if is_accepted(store, run_id)]
        assert {holder(store, event) for run_id, event in asked if run_id != winner} == {winner}


def test_after_the_window_the_key_is_free(store: EventStore, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append(store, request(key, unique_for_seconds=60)[1])
    later = datetime.now(UTC) + timedelta(seconds=61)
    monkeypatch.setattr(unique, "_now", lambda: later)
    second, two = request(key, unique_for_seconds=60)
    append(store, two)
    assert is_accepted(store, second)
    third, three = request(key)
    append(store, three)
    assert (is_accepted(store, third), holder(store, three)) == (False, second)


@pytest.mark.parametrize("window", [None, 60])
def test_a_failed_run_gives_its_key_back_only_where_it_has_it_until_its_end(
    store: EventStore, key: str, window: float | None
) -> None:
    lasting = {} if window is None else {"unique_for_seconds": window}
    first, one = request(key, **lasting)
    append(store, one)
    failure = {"attempt": 1, "error_type": "ValueError", "error": ""}
    append(store, told("task.failed", run_id=first, task="report", **failure))
    second, two = request(key, **lasting)
    append(store, two)
    assert is_accepted(store, second) == (window is None)


def test_a_key_is_one_tasks_own(store: EventStore, key: str) -> None:
    (first, one), (second, two) = request(key), request(key, task="other")
    append(store, one, two)
    assert is_accepted(store, first)
    assert is_accepted(store, second)


def test_the_same_request_again_is_neither_a_run_nor_folded_into_itself(store: EventStore, key: str) -> None:
    (first, one), (_, two) = request(key), request(key)
    append(store, one)
    append(store, one)
    append(store, two)
    append(store, two)
    assert is_accepted(store, first)
    assert holder(store, one) is None
    assert holder(store, two) == first


def test_a_folded_request_that_comes_again_after_the_window_stays_folded(
    store: EventStore, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(store, request(key, unique_for_seconds=60)[1])
    second, two = request(key)
    append(store, two)
    later = datetime.now(UTC) + timedelta(seconds=61)
    monkeypatch.setattr(unique, "_now", lambda: later)
    append(store, two)
    assert not is_accepted(store, second)


def test_a_window_without_a_key_is_invalid(store: EventStore) -> None:
    del store
    with pytest.raises(ValueError, match="unique_key"):
        decided(told("task.requested", task="report", unique_for_seconds=5.0))


def test_a_request_without_a_key_asks_nobody(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique, "_Keys", None)
    run_id = str(uuid4())
    with store.transaction() as transaction:
        runs.append(transaction, [decided(told("task.requested", task="report", run_id=run_id))])
    assert is_accepted(store, str(UUID(run_id)))

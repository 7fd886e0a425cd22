from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.run_id import malformed_run_id
from domain.task_run import LAST_ATTEMPT, SLOT_DEAD_LETTERED, SLOT_END, TaskDeadLettered, task_event
from infra.event_store import EventStore, Log, caused
from tasks.ingest import runs
from tasks.ingest.delivery import Delivery
from tasks.ingest.letters import Letters, last_death, letter
from tests.tasks.ingest.deliveries import NOW, delivery

DIED_AT = NOW - timedelta(seconds=30)


def dead(run_id: str, reason: str, **headers: object) -> Delivery:
    """A message as the broker dead-letters it on 3.10 and on 4.x."""
    deaths = [
        {"reason": reason, "queue": "tasks.high", "exchange": "tasks", "time": DIED_AT, "count": 1},
        {"reason": "expired", "queue": "delay.02", "exchange": "delay.02", "time": DIED_AT, "count": 1},
    ]
    told = {"id": run_id, "task": "report", "x-death": deaths, "x-first-death-reason": "expired", **headers}
    return delivery(b"[[], {}, {}]", headers=told, content_type="application/json", priority=4)


def fact(message: Delivery) -> TaskDeadLettered:
    event = letter(message).event
    assert isinstance(event, TaskDeadLettered)
    return event


def test_a_rejected_message_is_told_after_the_end_that_its_worker_recorded() -> None:
    recorded = fact(dead("R1", "rejected"))
    assert (recorded.originator_id, recorded.originator_version) == ("task_run-R1", SLOT_DEAD_LETTERED)
    assert (recorded.task, recorded.reason, recorded.queue, recorded.priority) == (
        "report",
        "rejected",
        "tasks.high",
        4,
    )


@pytest.mark.parametrize("reason", ["expired", "maxlen", "delivery_limit"])
def test_what_the_broker_did_by_itself_is_the_end_of_the_run(reason: str) -> None:
    assert fact(dead("R1", reason)).originator_version == SLOT_END


def test_the_last_death_counts_and_not_the_wait_in_the_ladder_before_it() -> None:
    death = last_death(dead("R1", "rejected").headers or {}, received_at=NOW)
    assert (death.reason, death.queue) == ("rejected", "tasks.high")


def test_a_letter_is_not_told_before_the_rejection_in_the_same_second() -> None:
    rejected_at = DIED_AT + timedelta(milliseconds=700)
    assert fact(dead("R1", "rejected")).timestamp > rejected_at
    assert last_death({"x-death": [{"time": NOW}]}, received_at=NOW + timedelta(milliseconds=1)).at < NOW + timedelta(
        milliseconds=2
    )


def test_the_time_of_a_death_is_utc_with_or_without_its_saying_so() -> None:
    naive = {"x-death": [{"time": DIED_AT.replace(tzinfo=None)}]}
    aware = {"x-death": [{"time": DIED_AT}]}
    assert last_death(naive, received_at=NOW) == last_death(aware, received_at=NOW)
    assert last_death(naive, received_at=NOW).at.tzinfo is UTC


@pytest.mark.parametrize("headers", [{}, {"x-death": []}, {"x-death": "odd"}, {"x-death": [7]}])
def test_a_letter_that_says_nothing_of_its_death_is_recorded_all_the_same(headers: dict[str, object]) -> None:
    death = last_death(headers, received_at=NOW)
    assert death == ("unknown", None, NOW)


def test_a_malformed_message_is_the_run_that_the_worker_takes_it_for() -> None:
    message = delivery(b"\xff[", headers={"x-death": [{"reason": "rejected"}]}, content_type="application/json")
    assert fact(message).originator_id == f"task_run-{malformed_run_id(message.body, None)}"
    assert fact(message).task == "unknown"


def test_the_letter_belongs_to_the_story_of_its_run() -> None:
    named = {"ledgerq-correlation-id": "story", "traceparent": "00-a-b-01", "ledgerq-tenant": "acme"}
    metadata = letter(dead("R1", "rejected", **named)).new().metadata
    assert (metadata["correlation_id"], metadata["traceparent"], metadata["tenant"]) == ("story", "00-a-b-01", "acme")
    assert letter(dead("R1", "rejected")).new().metadata["correlation_id"] == "R1"


def test_the_same_letter_twice_is_one_fact(store: EventStore) -> None:
    run_id = str(uuid4())
    letters = Letters(store)
    assert letters.take([dead(run_id, "rejected"), dead(run_id, "rejected")]) == []
    assert letters.take([dead(run_id, "rejected")]) == []
    stream = f"task_run-{run_id}"
    assert [event.TOPIC for event in store.load(Log.TASKS, [stream])[stream]] == ["task.dead_lettered"]


def test_a_message_that_expires_after_its_run_has_ended_changes_nothing_and_is_recorded(store: EventStore) -> None:
    run_id = str(uuid4())
    end = task_event("task.revoked", run_id, at=NOW, data={"task": "t", "attempt": 1, "error_type": "", "error": ""})
    store.append(Log.TASKS, caused([end], letter(dead(run_id, "rejected")).cause))
    Letters(store).take([dead(run_id, "expired", **{"ledgerq-attempt": 3})])
    stream = f"task_run-{run_id}"
    told = [(event.TOPIC, event.originator_version) for event in store.load(Log.TASKS, [stream])[stream]]
    assert told == [("task.outcome_ignored", 3 * 8 + 3), ("task.revoked", SLOT_END)]


@pytest.mark.parametrize(
    ("told", "attempt"),
    [
        (3, 3),
        ("4", 4),
        (None, 1),
        ("x", 1),
        (0, 1),
        (True, 1),
        (2**40, 1),
        (LAST_ATTEMPT, LAST_ATTEMPT),
        (LAST_ATTEMPT + 1, 1),
        (str(LAST_ATTEMPT + 1), 1),
        ("9" * 5000, 1),
    ],
)
def test_the_attempt_is_the_header_s_where_it_is_one(told: object, attempt: int) -> None:
    found = letter(dead("R1", "expired", **{"ledgerq-attempt": told}))
    assert isinstance(found, runs.Decided)
    assert found.attempt == attempt


def test_time_without_a_zone_is_not_local_time() -> None:
    at = datetime(2026, 1, 1)  # noqa: DTZ001  as older clients give it
    assert last_death({"x-death": [{"time": at}]}, received_at=NOW).at.hour == 0

from datetime import UTC, datetime

import pytest

from domain.task_run import LAST_ATTEMPT
from tasks.worker.envelope import MalformedMessageError, read, read_headers
from tests.tasks.worker.received import received


@pytest.mark.parametrize(
    ("headers", "attempt"),
    [
        ({}, 1),
        ({"retries": 2}, 3),
        ({"retries": None}, 1),
        ({"replaced_task_nesting": 1}, 2),
        ({"retries": 7, "ledgerq-attempt": 2}, 2),
        ({"ledgerq-attempt": "4"}, 4),
        ({"retries": LAST_ATTEMPT}, LAST_ATTEMPT),
        ({"retries": LAST_ATTEMPT, "replaced_task_nesting": 1}, LAST_ATTEMPT),
    ],
)
def test_the_attempt_is_what_we_said_or_what_celery_counted(headers: dict[str, object], attempt: int) -> None:
    assert read(received(**headers)).envelope.attempt == attempt


@pytest.mark.parametrize(
    ("headers", "spared"),
    [
        ({}, 0),
        ({"ledgerq-attempt": 4, "ledgerq-spared": 2}, 2),
        ({"ledgerq-attempt": 4, "ledgerq-spared": "3"}, 3),
        ({"ledgerq-attempt": 2, "ledgerq-spared": 9}, 1),
    ],
)
def test_at_most_the_attempts_before_this_one_were_spared(headers: dict[str, object], spared: int) -> None:
    assert read(received(**headers)).envelope.spared == spared


def test_moments_without_an_offset_are_in_utc() -> None:
    told = read(received(eta="2026-01-01T12:00:00", expires="2026-01-01T12:00:00+02:00"))
    assert told.eta == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert told.expires == datetime(2026, 1, 1, 10, tzinfo=UTC)


def test_an_empty_context_counts_as_none() -> None:
    envelope = read_headers({"id": "run-1", "task": "lab.add", "root_id": "", "ledgerq-causation-id": ""})
    assert (envelope.correlation_id, envelope.causation_id) == ("run-1", None)


def test_the_reason_says_where_and_what() -> None:
    with pytest.raises(MalformedMessageError, match=r"got `int` - at `\$\.parent_id`") as refusal:
        read(received(parent_id=7))
    assert refusal.value.reason == "HeaderInvalid"


def test_headers_nobody_reads_may_be_anything() -> None:
    assert read(received(**{"x-mine": object()})).envelope.id == "run-1"

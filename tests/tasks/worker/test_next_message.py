import json
from datetime import timedelta
from typing import Any

import pytest

from infra.broker.frames import OutgoingMessage
from tasks.worker.attempt import Attempt
from tasks.worker.envelope import read_headers
from tasks.worker.next_message import next_message, same_message
from tasks.worker.outcome import Resend
from tasks.worker.verdict import NextAttempt
from tests.tasks.worker.received import received

ATTEMPT = Attempt("run-1", 2, "lab.add", "tasks.high", "high@lab:1")


def following(delay_seconds: float = 0, message: Any = None, **resend: Any) -> OutgoingMessage:
    wanted = NextAttempt(timedelta(seconds=delay_seconds), Resend(**resend))
    return next_message(message or received(), ATTEMPT, wanted)


def test_the_next_attempt_is_the_same_message_counted_on() -> None:
    made = following(message=received(mine="kept", eta="2026-01-01T00:00:00"))
    assert (made.exchange, made.routing_key) == ("tasks", "tasks.high")
    assert made.headers == {
        "id": "run-1",
        "task": "lab.add",
        "mine": "kept",
        "eta": None,
        "retries": 2,
        "ledgerq-attempt": 3,
    }
    assert json.loads(made.body) == [[1, 2], {"x": 3}, {"chain": None}]
    assert (made.priority, made.correlation_id, made.message_id) == (4, "run-1", "run-1/3")
    assert made.persistent


def test_a_delay_leads_through_the_ladder_and_a_longer_one_than_it_holds_is_cut() -> None:
    assert following(5).routing_key.endswith("1.0.1.tasks.high")
    assert following(10**7).routing_key == "1." * 17 + "tasks.high"


def test_an_attempt_that_is_spared_is_counted_apart_and_not_as_a_retry_of_celery() -> None:
    envelope = read_headers({"id": "run-1", "task": "lab.add", "ledgerq-attempt": 5, "ledgerq-spared": 2})
    fifth = ATTEMPT._replace(number=5, envelope=envelope)
    spared = next_message(received(), fifth, NextAttempt(timedelta(0), is_spared=True))
    counted = next_message(received(), fifth, NextAttempt(timedelta(0)))
    names = ("ledgerq-attempt", "ledgerq-spared", "retries")
    assert [spared.headers[name] for name in names] == [6, 3, 2]
    assert [counted.headers[name] for name in names] == [6, 2, 3]


def test_what_the_broker_told_of_earlier_deaths_is_not_sent_along() -> None:
    made = following(message=received(**{"x-death": [{"count": 1}], "x-first-death-queue": "delay.00"}))
    assert not [name for name in made.headers if name.startswith("x-")]


def test_other_arguments_take_the_place_of_the_old_ones() -> None:
    made = following(args="[9]", kwargs='{"y": 8}')
    assert json.loads(made.body) == [[9], {"y": 8}, {"chain": None}]
    assert (made.headers["argsrepr"], made.headers["kwargsrepr"]) == ("[9]", '{"y": 8}')


def test_another_queue_and_priority_are_honored_within_that_queues_limit() -> None:
    made = following(queue="tasks.low", priority=9, headers={"timelimit": [1, None]})
    assert (made.routing_key, made.priority) == ("tasks.low", 2)
    assert made.headers["timelimit"] == [1, None]


def test_a_queue_that_no_delay_leads_to_is_an_error() -> None:
    with pytest.raises(ValueError, match="somewhere"):
        following(queue="somewhere")


def test_a_message_that_fits_no_frame_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be published"):
        following(message=received(mine="x" * 200_000))


def test_the_same_message_once_more_is_the_same_attempt() -> None:
    made = same_message(received(eta="2026-01-01T00:00:00"), ATTEMPT, timedelta(seconds=0.2))
    assert made.routing_key.endswith("0.0.1.0.tasks.high")
    assert made.headers["eta"] == "2026-01-01T00:00:00"
    assert made.message_id == "run-1/2"

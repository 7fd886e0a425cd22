from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

import pytest
from psycopg import errors
from structlog.testing import capture_logs

from infra.cloudevents.encoding import BATCH
from infra.database import DatabaseUnreachableError
from infra.event_store import LostRaceError
from tasks.ingest.delivery import Delivery
from tasks.ingest.isolation import ROUNDS, Interrupted, Isolation
from tasks.ingest.rejection import Rejected
from tests.tasks.ingest.deliveries import delivery

GOOD = [delivery(f'"{n}"'.encode()) for n in range(50)]
POISON = delivery(b'"poison"')


Lines = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def lines() -> Iterator[Lines]:
    """What is logged."""
    with capture_logs() as captured:
        yield captured


class Door:
    """Takes messages in; ``trouble`` may raise first."""

    def __init__(self, trouble: Callable[[Sequence[Delivery]], None]) -> None:
        self.trouble = trouble
        self.calls: list[bool] = []
        self.stored: list[bytes] = []
        self.rejected: list[Rejected] = []
        self.pauses = 0
        self.answers = True
        self.isolation = Isolation(
            reject=self.rejected.append, database_answers=lambda: self.answers, pause=lambda _: self.pause()
        )

    def pause(self) -> None:
        self.pauses += 1

    def take(self, deliveries: Sequence[Delivery], *, again: bool) -> list[Rejected]:
        self.calls.append(again)
        self.trouble(deliveries)
        self.stored += [each.body for each in deliveries]
        return []

    def see_through(self, *deliveries: Delivery) -> list[Rejected]:
        return self.isolation.see_through(self.take, deliveries)


def failing_at(poison: bytes, error: Exception) -> Callable[[Sequence[Delivery]], None]:
    def trouble(deliveries: Sequence[Delivery]) -> None:
        if any(poison in each.body for each in deliveries):
            raise error

    return trouble


def failing_first(times: int, error: Exception) -> Callable[[Sequence[Delivery]], None]:
    left = [error] * times

    def trouble(_: Sequence[Delivery]) -> None:
        if left:
            raise left.pop()

    return trouble


def away(cause: Exception) -> DatabaseUnreachableError:
    error = DatabaseUnreachableError("away")
    error.__cause__ = cause
    return error


def test_what_nothing_stands_in_the_way_of_is_taken_in_at_once() -> None:
    door = Door(lambda _: None)
    assert door.see_through(*GOOD) == []
    assert door.stored == [each.body for each in GOOD]
    assert door.calls == [False]


def test_a_message_our_code_fails_at_is_put_aside_and_all_others_are_stored_in_order(lines: Lines) -> None:
    door = Door(failing_at(b"poison", ZeroDivisionError("a bug")))
    (rejected,) = door.see_through(*GOOD[:20], POISON, *GOOD[20:])
    assert (rejected.reason, rejected.detail) == ("fault", "ZeroDivisionError: a bug")
    assert rejected.delivery == POISON
    assert door.rejected == [rejected]
    assert door.stored == [each.body for each in GOOD]
    assert len(door.calls) < 20
    assert [line["message_id"] for line in lines if line["log_level"] == "error"] == [str(rejected.message_id)]


def test_one_element_our_code_fails_at_does_not_take_its_batch_along() -> None:
    door = Door(failing_at(b"poison", ZeroDivisionError("a bug")))
    (rejected,) = door.see_through(delivery(b'["a", "poison", "b"]', content_type=BATCH))
    assert rejected.delivery.body == b'"poison"'
    assert door.stored == [b'"a"', b'"b"']


def test_after_a_lost_race_it_is_decided_again() -> None:
    door = Door(failing_first(2, LostRaceError("session-1", 2)))
    assert door.see_through(*GOOD) == []
    assert door.calls == [False, True, True]


def test_a_race_lost_for_ever_ends() -> None:
    door = Door(failing_at(b"poison", LostRaceError("session-1", 2)))
    (rejected,) = door.see_through(*GOOD, POISON)
    assert rejected.reason == "fault"
    assert len(door.stored) == len(GOOD)
    assert len(door.calls) < 10 * ROUNDS


def test_an_outage_is_waited_out_and_the_same_messages_are_tried_again() -> None:
    door = Door(failing_first(1, away(errors.AdminShutdown("gone"))))
    door.answers = False
    door.pause = lambda: setattr(door, "answers", door.pauses > 3) or setattr(door, "pauses", door.pauses + 1)  # type: ignore[method-assign,func-returns-value]
    assert door.see_through(*GOOD) == []
    assert door.pauses > 3
    assert door.calls == [False, True]


def test_what_the_database_refuses_for_its_content_is_no_outage() -> None:
    door = Door(failing_at(b"poison", errors.ProgramLimitExceeded("string too long")))
    (rejected,) = door.see_through(*GOOD, POISON)
    assert rejected.reason == "fault"
    assert door.pauses == 0


def test_a_database_that_answers_but_cannot_store_makes_no_message_a_dead_letter() -> None:
    door = Door(failing_first(99, away(errors.QueryCanceled("canceling statement due to statement timeout"))))
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if sum(pauses) > 10:
            raise Interrupted("it could not be stored for too long")

    isolation = Isolation(reject=door.rejected.append, database_answers=lambda: True, pause=wait)
    with pytest.raises(Interrupted):
        isolation.see_through(door.take, GOOD)
    assert (door.stored, door.rejected) == ([], [])
    assert pauses == sorted(pauses)
    assert pauses[-1] > 10 * pauses[0]


def test_outages_do_not_use_up_the_rounds_of_a_message() -> None:
    door = Door(failing_first(3 * ROUNDS, away(errors.QueryCanceled("slow"))))
    assert door.see_through(*GOOD) == []
    assert door.stored == [each.body for each in GOOD]
    assert len(door.calls) == 3 * ROUNDS + 1


def test_whoever_is_to_stop_while_waiting_lets_go_at_once() -> None:
    def stop() -> None:
        raise Interrupted("stop")

    door = Door(failing_first(1, away(errors.AdminShutdown("gone"))))
    door.pause = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        door.see_through(*GOOD)
    assert door.stored == []


def test_where_not_even_the_fault_can_be_recorded_nothing_is_lost_in_silence() -> None:
    def refuse(_: Rejected) -> None:
        raise ZeroDivisionError("recording fails too")

    door = Door(failing_at(b"poison", ZeroDivisionError("a bug")))
    isolation = Isolation(reject=refuse, database_answers=lambda: True, pause=lambda _: None)
    with pytest.raises(ZeroDivisionError, match="recording"):
        isolation.see_through(door.take, [POISON])

from itertools import pairwise

import pytest
from celery.exceptions import WorkerShutdown

from tasks.worker.reconnecting import LONGEST_PAUSE_SECONDS, TURN_SECONDS, Reconnecting

REFUSED = PermissionError("ACCESS_REFUSED")


class Clock:
    """In place of :mod:`time`: sleeping takes none."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("tasks.worker.reconnecting.time", made)
    return made


def pauses(reconnecting: Reconnecting, clock: Clock, *, times: int) -> list[float]:
    found = []
    for _ in range(times):
        before = clock.now
        reconnecting.refused(REFUSED)
        found.append(clock.now - before)
    return found


def test_a_worker_that_is_refused_tries_less_and_less_often_until_it_is_let_in(clock: Clock) -> None:
    reconnecting = Reconnecting(lambda: None)
    assert pauses(reconnecting, clock, times=7) == [1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    reconnecting.accepted()
    assert pauses(reconnecting, clock, times=2) == [1, 2]


def test_the_loop_turns_all_through_a_pause(clock: Clock) -> None:
    turned: list[float] = []
    reconnecting = Reconnecting(lambda: turned.append(clock.now))
    pauses(reconnecting, clock, times=5)
    gaps = [later - sooner for sooner, later in pairwise(turned)]
    assert max(gaps) <= TURN_SECONDS


def test_a_worker_told_to_stop_does_not_wait_for_the_end_of_a_pause(clock: Clock) -> None:
    def stop() -> None:
        raise WorkerShutdown(0)

    with pytest.raises(WorkerShutdown):
        Reconnecting(stop).refused(REFUSED)
    assert clock.now == 0


def test_a_refusal_is_told_once_until_something_changes(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> int:
        return capsys.readouterr().out.count("refuses this worker")

    reconnecting = Reconnecting(lambda: None)
    pauses(reconnecting, clock, times=3)
    assert told() == 1
    reconnecting.refused(PermissionError("NOT_ALLOWED"))
    assert told() == 1
    pauses(reconnecting, clock, times=2)
    assert told() == 1
    reconnecting.away()
    pauses(reconnecting, clock, times=2)
    assert told() == 1


def test_a_connection_that_worked_is_made_again_at_once_and_one_that_could_not_consume_is_not(clock: Clock) -> None:
    reconnecting = Reconnecting(lambda: None)
    reconnecting.accepted()
    reconnecting.lost(ConnectionResetError())
    assert clock.now == 0
    reconnecting.lost(REFUSED)
    assert clock.now == 1

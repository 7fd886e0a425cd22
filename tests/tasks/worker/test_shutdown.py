"""A worker that is told to stop, and what becomes of what it runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery.worker import state

from domain.tier import Tier
from infra.settings import Settings
from tasks.worker.attempt import Attempt
from tasks.worker.outcome import Outcome
from tasks.worker.shutdown import Shutdown
from tests.infra.broker.relay import Relay
from tests.tasks.worker.lab import ROOT, Lab
from tests.tasks.worker.test_process import Waiting, begin
from tests.tasks.worker.test_tiers import consumers as tier_consumers
from tests.waiting import eventually

TIER = Tier.HIGH
GRACE = "LEDGERQ_SHUTDOWN_GRACE_SECONDS"
system = pytest.mark.system


class Running:
    """An attempt in hand, as far as a shutdown looks at it."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        self.attempt = Attempt("run-1", 1, "lab.add", TIER.queue, "a-worker")


class Workplace:
    """A worker's consumer and its registrar; notes what is asked of them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.in_hand: list[Running] = []

    def stop_consuming(self) -> None:
        self.said.append("stop consuming")

    def is_connected(self) -> bool:
        return True

    def end_child(self, pid: int) -> None:
        self.said.append(f"end {pid}")

    def children(self) -> list[int]:
        return []

    def close(self) -> None:
        self.said.append("close")

    def running(self) -> list[Running]:
        return self.in_hand

    def not_started(self) -> list[Running]:
        return []

    def give_up(self, in_hand: Running, outcome: Outcome) -> None:
        self.said.append(f"give up: {outcome.spent_by}, {outcome.is_spared}")  # type: ignore[union-attr]
        self.in_hand.remove(in_hand)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place() -> Iterator[Workplace]:
    yield Workplace()
    state.should_stop = None


@pytest.fixture
def shutdown(place: Workplace, clock: Clock) -> Shutdown:
    grace = Settings(shutdown_grace_seconds=30).shutdown_grace
    return Shutdown(place, place, grace=grace, clock=clock)  # type: ignore[arg-type]


def test_nothing_happens_before_somebody_asks(shutdown: Shutdown, place: Workplace) -> None:
    shutdown.look()
    assert place.said == []


def test_with_nothing_running_the_worker_ends_at_once(shutdown: Shutdown, place: Workplace) -> None:
    shutdown.ask()
    shutdown.look()
    assert place.said == ["close", "stop consuming"]
    assert state.should_stop == os.EX_OK


def test_what_runs_has_the_grace_to_finish_and_is_then_ended_before_it_is_given_up(
    shutdown: Shutdown, place: Workplace, clock: Clock
) -> None:
    place.in_hand = [Running(7)]
    shutdown.ask()
    clock.now += 29.9
    shutdown.look()
    assert (place.said, state.should_stop) == (["close", "stop consuming"], None)
    clock.now += 0.1
    shutdown.look()
    assert place.said[-2:] == ["end 7", "give up: shutdown, True"]
    assert state.should_stop == os.EX_OK


@pytest.mark.parametrize("hurry", [Shutdown.ask, lambda shutdown: shutdown.ask(hurried=True)])
def test_asked_to_hurry_it_does_not_wait(
    shutdown: Shutdown, place: Workplace, hurry: Callable[[Shutdown], None]
) -> None:
    place.in_hand = [Running(7)]
    shutdown.ask()
    hurry(shutdown)
    shutdown.look()
    assert "end 7" in place.said


def test_what_is_on_its_way_to_a_child_is_ended_once_it_has_begun(shutdown: Shutdown, place: Workplace) -> None:
    place.in_hand = [Running(None)]
    shutdown.ask(hurried=True)
    shutdown.look()
    assert state.should_stop is None
    place.in_hand[0].pid = 8
    shutdown.look()
    assert "end 8" in place.said
    assert state.should_stop == os.EX_OK


@pytest.fixture
def waiting(lab: Lab, tmp_path: Path) -> Callable[[], Waiting]:
    return lambda: begin(lab, tmp_path)


def goes_on_elsewhere(lab: Lab, waiting: Waiting) -> None:
    """The run went back at once, as an attempt that does not count, and the next worker finishes it."""
    with lab.channel() as channel:
        method, properties, _body = channel.basic_get(TIER.queue)
        assert not method.redelivered
        assert (properties.headers["ledgerq-attempt"], properties.headers["ledgerq-spared"]) == (2, 1)
        channel.basic_nack(method.delivery_tag, requeue=True)
    following = lab.worker(TIER)
    waiting.go.touch()
    lab.ear.until(waiting.run, "task.succeeded 3")  # the look above was a delivery that nobody settled
    assert following.stop() == 0
    given_up = lab.ear.event(waiting.run, "task.retry_scheduled 1").data
    assert (given_up["spent_by"], given_up["is_spared"], given_up["delay_seconds"]) == ("shutdown", True, 0)
    assert waiting.marks.read_text() == "xx"
    assert lab.depth(TIER.queue) == 0


@system
def test_what_does_not_finish_within_the_grace_goes_back(lab: Lab, waiting: Callable[[], Waiting]) -> None:
    worker = lab.worker(TIER, **{GRACE: "1"})
    slow = waiting()
    assert worker.stop() == 0
    goes_on_elsewhere(lab, slow)


@system
@pytest.mark.parametrize(
    "numbers", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]]
)
def test_a_worker_told_to_hurry_hands_back_what_runs_at_once(
    lab: Lab, waiting: Callable[[], Waiting], numbers: list[signal.Signals]
) -> None:
    worker = lab.worker(TIER, **{GRACE: "600"})
    slow = waiting()
    for number in numbers:
        worker.process.send_signal(number)
        eventually(lambda: "told to stop" in worker.log.read_text())  # two at once would be one
    assert worker.process.wait(20) == 0
    goes_on_elsewhere(lab, slow)


@system
def test_a_worker_stops_while_the_broker_is_away_and_its_run_is_redelivered(lab: Lab, tmp_path: Path) -> None:
    relay = Relay(lab.settings)
    url = relay.settings.broker_url.get_secret_value()
    worker = lab.worker(TIER, **{GRACE: "1", "LEDGERQ_BROKER_URL": url})
    slow = begin(lab, tmp_path)
    relay.close()
    eventually(lambda: "Trying to reconnect" in worker.log.read_text() or lab.depth(TIER.queue) == 1)
    worker.process.terminate()
    worker.process.wait(60)
    following = lab.worker(TIER)
    slow.go.touch()
    lab.ear.until(slow.run, "task.succeeded 2")
    assert lab.ear.event(slow.run, "task.retry_scheduled 1").data["spent_by"] == "redelivered"
    assert following.stop() == 0


@system
@pytest.mark.parametrize("numbers", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM]])
def test_all_tiers_are_hurried_together(lab: Lab, numbers: list[signal.Signals]) -> None:
    supervisor = subprocess.Popen(
        (sys.executable, "-m", "infra.cli", "worker", "--concurrency", "1"),
        cwd=ROOT,
        env={**os.environ, **lab.environment, GRACE: "600"},
        stdin=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: tier_consumers(lab) == [1, 1, 1, 1], seconds=120)  # a signal ends what is still starting
        run = lab.publish("sample.work", duration_ms=600_000, tier=TIER)
        lab.ear.until(run, "task.started 1", seconds=60)
        for number in numbers:
            supervisor.send_signal(number)
            eventually(lambda: not consumers(lab))
        assert supervisor.wait(30) == 0
        story = lab.ear.until(run, "task.retry_scheduled 1")
        assert story == ["task.started 1", "task.retry_scheduled 1"]
        assert lab.ear.event(run, "task.retry_scheduled 1").data["spent_by"] == "shutdown"
    finally:
        supervisor.kill()
        supervisor.wait()
        with lab.channel() as channel:
            channel.queue_purge(TIER.queue)


def consumers(lab: Lab) -> int:
    with lab.channel() as channel:
        return int(channel.queue_declare(TIER.queue, passive=True).method.consumer_count)

"""Options that ``self.retry()`` cannot honor: the run comes to its end all the same, and leaves its place to others."""

from collections.abc import Iterator
from math import inf, nan
from typing import Any

import pytest

from domain.tier import Tier
from tests.tasks.worker.endings import end
from tests.tasks.worker.lab import Lab, WorkerProcess

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("worker")]


@pytest.fixture(scope="module")
def worker(lab: Lab) -> Iterator[WorkerProcess]:
    """One child, so that a run that hangs keeps every other from running."""
    worker = lab.worker(Tier.NORMAL, concurrency=1)
    yield worker
    assert worker.is_alive(), worker.log.read_text()
    assert worker.stop() == 0
    assert "Pool callback raised" not in worker.log.read_text()
    assert lab.depth(Tier.NORMAL.queue) == 0


@pytest.mark.parametrize("countdown", [1e18, 10**30, inf])
def test_a_countdown_beyond_the_ladder_is_cut_to_its_length(lab: Lab, countdown: float) -> None:
    run = lab.publish("lab.retry_with", {"countdown": countdown})
    lab.ear.until(run, "task.retry_scheduled 1", seconds=8)
    assert lab.ear.event(run, "task.retry_scheduled 1").data["delay_seconds"] == 2**17 - 1


@pytest.mark.parametrize("countdown", [nan, -3, -inf])
def test_a_countdown_below_nothing_or_no_number_is_none(lab: Lab, countdown: float) -> None:
    run = lab.publish("lab.retry_with", {"countdown": countdown})
    lab.ear.until(run, "task.failed 2", seconds=8)
    assert lab.ear.event(run, "task.retry_scheduled 1").data["delay_seconds"] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"countdown": "soon"},
        {"countdown": [1]},
        {"priority": "high"},
        {"priority": 1.5},
        {"priority": [1]},
        {"headers": "mine"},
        {"headers": {"mine": 2**70}},
        {"expires": 1e18},
        {"expires": [1]},
        {"queue": "nowhere"},
        {"queue": 7},
    ],
    ids=str,
)
def test_an_option_that_cannot_be_sent_ends_the_run_with_the_reason(lab: Lab, options: dict[str, Any]) -> None:
    run = lab.publish("lab.retry_with", options)
    ended = end(lab, run)
    assert ended in {"task.rejected 1", "task.failed 1"}
    assert lab.ear.event(run, ended).data["error"]
    assert lab.ear.dead_letter(run)


@pytest.mark.parametrize(("when", "ended"), [(1e18, "task.retry_scheduled 1"), ("soon", "task.failed 1")])
def test_a_retry_raised_by_hand_may_be_as_odd(lab: Lab, when: Any, ended: str) -> None:
    run = lab.publish("lab.raise_retry", when)
    lab.ear.until(run, ended, seconds=8)


def test_a_task_whose_own_pause_is_endless_still_ends(lab: Lab) -> None:
    run = lab.publish("lab.odd_pause")
    lab.ear.until(run, "task.succeeded 1", seconds=8)

import pickle
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.tier import Tier
from tasks.worker.snooze import Snooze
from tests.tasks.worker.lab import Lab, WorkerProcess

system = pytest.mark.system


@pytest.fixture(scope="module")
def worker(lab: Lab) -> Iterator[WorkerProcess]:
    worker = lab.worker(Tier.HIGH)
    yield worker
    assert worker.stop() == 0
    assert lab.depth(Tier.HIGH.queue) == 0


@pytest.mark.parametrize(("delay", "seconds"), [(3, 3), (0.5, 0.5), (timedelta(minutes=2), 120)])
def test_a_snooze_lasts_seconds_or_a_timedelta(delay: Any, seconds: float) -> None:
    assert Snooze(delay).delay_seconds == seconds


@pytest.mark.parametrize("delay", ["3", None, True])
def test_a_snooze_of_anything_else_is_refused(delay: Any) -> None:
    with pytest.raises(TypeError, match="a number of seconds or a timedelta"):
        Snooze(delay)


def test_a_snooze_survives_the_way_between_processes() -> None:
    snooze: Snooze = pickle.loads(pickle.dumps(Snooze(3, "soon")))  # noqa: S301
    assert (snooze.delay_seconds, str(snooze)) == (3, "soon")


@system
def test_a_stock_task_without_a_budget_snoozes_as_often_as_it_likes(
    lab: Lab, worker: WorkerProcess, tmp_path: Path
) -> None:
    del worker
    run = lab.publish("lab.snooze", str(tmp_path / "marks"), 3, tier=Tier.HIGH, priority=7)
    assert lab.ear.until(run, "task.succeeded 4", seconds=40) == [
        *(f"task.{name} {number}" for number in (1, 2, 3) for name in ("started", "retry_scheduled")),
        "task.started 4",
        "task.succeeded 4",
    ]
    first = lab.ear.event(run, "task.retry_scheduled 1").data
    assert (first["spent_by"], first["is_spared"], first["error"]) == ("snooze", True, "the neighbor sleeps")
    assert lab.ear.event(run, "task.started 4").data["priority"] == 7
    assert (tmp_path / "marks").read_text() == "xxxx"


@system
def test_snoozes_between_failures_do_not_spend_the_budget(lab: Lab, worker: WorkerProcess, tmp_path: Path) -> None:
    del worker
    run = lab.publish("lab.snooze_between_failures", str(tmp_path / "marks"), tier=Tier.HIGH)
    lab.ear.until(run, "task.failed 6", seconds=60)
    spent_by = [lab.ear.event(run, f"task.retry_scheduled {number}").data["spent_by"] for number in range(1, 6)]
    assert spent_by == ["snooze", "exception", "snooze", "exception", "snooze"]
    letter = lab.ear.dead_letter(run)
    assert (letter.headers["ledgerq-attempt"], letter.headers["ledgerq-spared"], letter.headers["retries"]) == (6, 3, 2)

"""Options of a message that Celery would stumble over: whatever they are, the run's end is recorded."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from domain.task_run import LAST_ATTEMPT
from domain.tier import Tier
from tasks.app import app
from tasks.worker.pace import Pace
from tasks.worker.request import RecordedRequest
from tests.tasks.worker.endings import end
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.tasks.worker.received import received
from tests.tasks.worker.test_registrar import Desk

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


HEADERS: dict[str, Any] = {
    "time limits that are texts": {"timelimit": ["a", "b"]},
    "a time limit of a negative number": {"timelimit": [-1, None]},
    "a huge time limit": {"timelimit": [2**62, 2**62]},
    "a time limit of nothing": {"timelimit": [0, 0]},
    "expired in the year 1": {"expires": "0001-01-01T00:00:00+23:59"},
    "expires at the end of time": {"expires": "9999-12-31T23:59:59-23:59"},
    "expires in words": {"expires": "next week"},
    "expires on a date of a week": {"expires": "2999-W01-1"},
    "ETA in the year 1": {"eta": "0001-01-01T00:00:00+23:59"},
    "ETA on a date of a week": {"eta": "2020-W01-1"},
    "ETA with seconds in its offset": {"eta": "2020-01-01T00:00:00+01:02:03.000004"},
    "retries below nothing": {"retries": -1},
    "retries that are a truth": {"retries": True},
    "retries without end": {"retries": 2**62},
    "as many retries as there may be": {"retries": LAST_ATTEMPT},
    "as many retries and nestings as there may be": {"retries": LAST_ATTEMPT, "replaced_task_nesting": LAST_ATTEMPT},
    "an attempt without end": {"ledgerq-attempt": 2**62},
    "an attempt that is a truth": {"ledgerq-attempt": True},
    "a root with a NUL": {"root_id": "a\0b"},
    "a parent with a NUL": {"parent_id": "a\0b"},
    "a trace context with a NUL": {"traceparent": "a\0b"},
    "a license with a NUL": {"ledgerq-license-id": "a\0b"},
    "argsrepr that is a number": {"argsrepr": 7},
    "kwargsrepr that is a list": {"kwargsrepr": []},
    "stamps without their values": {"stamped_headers": ["mine"], "stamps": {}},
    "stamps of no form": {"stamped_headers": ["mine"], "stamps": {"mine": {"a": [1]}}},
    "a huge group index": {"group": "g", "group_index": 2**62},
    "a group index that is a text": {"group_index": "first"},
    "an eager request": {"is_eager": True},
    "a name of Celery's own": {"as_execution_options": 1, "delivery_info": 2, "hostname": 3, "args": 4, "utc": 5},
}


@pytest.mark.parametrize("task", ["lab.add", "lab.stock_fail"])
@pytest.mark.parametrize("what", HEADERS)
def test_whatever_the_headers_say_the_run_ends_recorded(lab: Lab, what: str, task: str) -> None:
    args = (1, 2) if task == "lab.add" else ()
    run = lab.publish(task, *args, headers=HEADERS[what])
    end(lab, run)


THIRD_PARTS: dict[str, Any] = {
    "callbacks that are numbers": {"callbacks": [1]},
    "callbacks without a task": {"callbacks": [{}]},
    "callbacks of no task": {"callbacks": [{"task": 7, "args": 1, "kwargs": 2, "options": 3}]},
    "callbacks with odd options": {"callbacks": [{"task": "lab.add", "options": {"priority": "high"}}]},
    "errbacks that are numbers": {"errbacks": [1]},
    "errbacks without a task": {"errbacks": [{}]},
    "errbacks of no task": {"errbacks": [{"task": 7, "args": 1, "kwargs": 2, "options": 3}]},
    "a chain of numbers": {"chain": [1]},
    "a chain of nothing": {"chain": [{}]},
    "a chord of nothing": {"chord": {}},
    "a chord of numbers": {"chord": {"task": 7}},
    "a chord without a group": {"chord": {"task": "lab.add", "args": []}},
}


@pytest.mark.parametrize("task", ["lab.add", "lab.stock_fail"])
@pytest.mark.parametrize("what", THIRD_PARTS)
def test_whatever_is_to_follow_the_run_ends_recorded(lab: Lab, what: str, task: str) -> None:
    args = [1, 2] if task == "lab.add" else []
    run = lab.publish(task, body=json.dumps([args, {}, THIRD_PARTS[what]]).encode())
    ended = end(lab, run)
    if task == "lab.stock_fail":
        assert ended == "task.failed 1"


class ClosedPool:
    def apply_async(self, *_args: Any, **_options: Any) -> None:
        raise RecursionError("too deep")


def test_what_the_pool_does_not_take_is_rejected_and_leaves_its_place() -> None:
    desk = Desk()
    in_hand = desk.deliver()
    request = RecordedRequest(
        received(),
        in_hand=in_hand,
        registrar=desk.registrar,
        pace=Pace(allowance=timedelta(0), children=1),
        app=app,
        task=app.tasks["celery.accumulate"],
    )
    with pytest.raises(TaskRevokedError):
        request.execute_using_pool(ClosedPool())
    assert desk.recorder.told() == ["task.rejected"]

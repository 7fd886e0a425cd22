"""The story of a run for each cause, told by a real worker on a real broker."""

import gzip
import json
import pickle
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pika
import pytest

from domain.run_id import message_run_id
from domain.task_run import LAST_ATTEMPT
from domain.tier import Tier
from tests.tasks.worker.lab import Lab, WorkerProcess
from tests.tasks.worker.lab_tasks import REVOKED_RUN
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("worker")]


@pytest.fixture(scope="module")
def worker(stored_lab: Lab) -> Iterator[WorkerProcess]:
    """One worker for all stories; at their end it still lives and has let go of every message."""
    worker = stored_lab.worker(Tier.NORMAL, concurrency=4)
    yield worker
    assert worker.is_alive(), worker.log.read_text()
    assert worker.stop() == 0
    assert stored_lab.depth(Tier.NORMAL.queue) == 0


def attempts(*endings: str) -> list[str]:
    """A story in which attempt after attempt is started and comes to its ending."""
    return [f"task.{name} {number}" for number, ending in enumerate(endings, 1) for name in ("started", ending)]


AGAIN = "retry_scheduled"


class Ending(NamedTuple):
    """How the runs of a task end: in which way per attempt, why, and whether as a dead letter."""

    story: list[str]
    error_type: str
    is_dead: bool = True


ENDINGS = {
    "lab.stock_fail": Ending(attempts("failed"), "ValueError"),
    "lab.unspeakable": Ending(attempts("failed"), "UnspeakableError"),
    "lab.refused": Ending(attempts("failed"), "NotToday"),
    "lab.hopeless": Ending(attempts("failed"), "HopelessError"),
    "lab.fail": Ending(attempts(AGAIN, AGAIN, "failed"), "ConnectionError"),
    "lab.give_up": Ending(attempts(AGAIN, "failed"), "ValueError"),
    "lab.give_up_early": Ending(attempts("failed"), "ValueError"),
    "lab.autoretry": Ending(attempts(AGAIN, "failed"), "ValueError"),
    "lab.reject": Ending(attempts("rejected"), "Reject"),
    "lab.requeue": Ending(attempts(AGAIN, "rejected"), "Reject"),
    "lab.retry_with_unwritable": Ending(attempts("rejected"), "TypeError"),
    "lab.too_slow": Ending(attempts("failed"), "SoftTimeLimitExceeded"),
    "lab.os_exit": Ending(attempts("lost"), "WorkerLostError"),
    "lab.system_exit": Ending(attempts(AGAIN, AGAIN, "lost"), "SystemExit"),
    "lab.memory_error": Ending(attempts(AGAIN, AGAIN, "lost"), "MemoryError"),
    "lab.stock_memory_error": Ending(attempts("lost"), "MemoryError"),
}


class TestSuccess:
    def test_a_stock_task_succeeds(self, lab: Lab, worker: WorkerProcess) -> None:
        run = lab.publish("lab.add", 2, 3, priority=4)
        assert lab.ear.until(run, "task.succeeded 1") == attempts("succeeded")
        started, succeeded = lab.ear.event(run, "task.started 1"), lab.ear.event(run, "task.succeeded 1")
        assert succeeded.data["result"] == "5"
        assert succeeded.data["runtime_seconds"] < 5
        assert succeeded.data["worker"].startswith("normal@")
        assert succeeded.data["worker"].endswith(f":{worker.pid}")
        assert (started.data["task"], started.data["queue"]) == ("lab.add", Tier.NORMAL.queue)
        assert started.data["priority"] == 4
        assert started.data["pid"] != worker.pid
        assert started.data["code_version"]
        moments = [started.data["received_at"], started.attributes["time"], succeeded.attributes["time"]]
        assert sorted(moments, key=datetime.fromisoformat) == moments
        assert succeeded.attributes["id"] == f"{run}/1/task.succeeded"
        assert succeeded.attributes["source"] == "ledgerq/worker"

    def test_a_shared_task_succeeds(self, lab: Lab) -> None:
        run = lab.publish("lab.shared", x=1)
        assert lab.ear.until(run, "task.succeeded 1") == attempts("succeeded")
        assert lab.ear.event(run, "task.succeeded 1").data["result"] == '{"x":1}'

    def test_a_long_result_is_cut_and_says_so(self, lab: Lab) -> None:
        run = lab.publish("lab.big")
        lab.ear.until(run, "task.succeeded 1")
        result = lab.ear.event(run, "task.succeeded 1").data["result"]
        assert len(result) < 2100
        assert result.endswith("characters in all)")

    def test_a_task_that_asks_to_be_ignored_has_an_end(self, lab: Lab) -> None:
        run = lab.publish("lab.ignore")
        assert lab.ear.until(run, "task.succeeded 1") == attempts("succeeded")

    def test_a_task_that_replaces_itself_ends_as_the_one_in_its_place(self, lab: Lab) -> None:
        run = lab.publish("lab.replace")
        story = lab.ear.until(run, "task.succeeded 2")
        assert story == ["task.started 1", "task.started 2", "task.succeeded 2"]
        assert lab.ear.event(run, "task.succeeded 2").data["result"] == "42"

    def test_what_the_message_says_of_its_context_is_told_with_every_event(self, lab: Lab) -> None:
        context = {
            "ledgerq-correlation-id": "story-7",
            "ledgerq-causation-id": "event-3",
            "ledgerq-license-id": "license-9",
            "ledgerq-tenant": "acme",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        }
        run = lab.publish("lab.add", 1, 1, headers=context)
        lab.ear.until(run, "task.succeeded 1")
        assert lab.ear.event(run, "task.started 1").data["license_id"] == "license-9"
        for told in attempts("succeeded"):
            attributes = lab.ear.event(run, told).attributes
            assert (attributes["correlationid"], attributes["causationid"]) == ("story-7", "event-3")
            assert (attributes["traceparent"], attributes["tenant"]) == (context["traceparent"], "acme")

    def test_without_such_headers_the_context_is_celerys(self, lab: Lab) -> None:
        run = lab.publish("lab.add", 1, 1, headers={"root_id": "root-1", "parent_id": "parent-1"})
        lab.ear.until(run, "task.succeeded 1")
        attributes = lab.ear.event(run, "task.succeeded 1").attributes
        assert (attributes["correlationid"], attributes["causationid"]) == ("root-1", "parent-1")


@pytest.fixture(scope="module")
def failing(lab: Lab, worker: WorkerProcess) -> dict[str, str]:  # noqa: ARG001
    """A run of every task that fails, side by side: by the task's name."""
    return {task: lab.publish(task, priority=3) for task in ENDINGS}


class TestFailure:
    @pytest.mark.parametrize("task", ENDINGS)
    def test_every_way_to_fail_is_recorded_with_its_attempts_and_its_reason(
        self, lab: Lab, worker: WorkerProcess, failing: dict[str, str], task: str
    ) -> None:
        ending, run = ENDINGS[task], failing[task]
        assert lab.ear.until(run, ending.story[-1]) == ending.story
        end = lab.ear.event(run, ending.story[-1]).data
        assert end["error_type"] == ending.error_type
        assert len(end["error"]) < 2100
        letter = lab.ear.dead_letter(run)
        assert letter.headers["x-death"][0]["reason"] == "rejected"
        assert letter.priority == 3
        assert letter.routing_key == Tier.NORMAL.queue
        assert worker.is_alive()

    def test_an_error_has_its_text_and_the_place_it_came_from(self, lab: Lab) -> None:
        run = lab.publish("lab.stock_fail")
        lab.ear.until(run, "task.failed 1")
        failed = lab.ear.event(run, "task.failed 1").data
        assert failed["error"].startswith("no xxx")
        assert failed["error"].endswith("characters in all)")
        assert "in stock_fail" in failed["traceback"]

    def test_what_cannot_be_stored_is_told_with_a_sign_in_its_place(self, lab: Lab) -> None:
        run = lab.publish("lab.unstorable")
        lab.ear.until(run, "task.failed 1")
        failed = lab.ear.event(run, "task.failed 1").data
        assert failed["error"] == "a\u2400b \\\u2400 \\u0000 ?"
        assert "a\u2400b" in failed["traceback"]

    def test_a_task_whose_name_cannot_be_stored_has_an_end_too(self, lab: Lab) -> None:
        run = lab.publish("lab.\0")
        lab.ear.until(run, "task.rejected 1")
        assert lab.ear.event(run, "task.rejected 1").data["task"] == "lab.\u2400"

    def test_the_hard_time_limit_ends_the_run_once(self, lab: Lab, tmp_path: Path) -> None:
        marks = tmp_path / "marks"
        run = lab.publish("lab.hang", str(marks))
        assert lab.ear.until(run, "task.timed_out 1") == attempts("timed_out")
        assert lab.ear.event(run, "task.timed_out 1").data["runtime_seconds"] >= 1
        assert lab.ear.dead_letter(run)
        assert marks.read_text() == "x"

    def test_a_task_that_kills_its_process_is_tried_as_often_as_its_budget_allows(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        marks = tmp_path / "marks"
        run = lab.publish("lab.kill_itself", str(marks))
        assert lab.ear.until(run, "task.lost 3") == attempts(AGAIN, AGAIN, "lost")
        assert lab.ear.event(run, "task.retry_scheduled 1").data["spent_by"] == "worker_lost"
        assert lab.ear.dead_letter(run)
        assert marks.read_text() == "xxx"


class TestRetry:
    def test_priority_and_headers_are_kept_through_every_retry(self, lab: Lab) -> None:
        run = lab.publish("lab.fail", priority=5, headers={"ledgerq-license-id": "license-1", "mine": "too"})
        lab.ear.until(run, "task.failed 3")
        assert [lab.ear.event(run, f"task.started {n}").data["priority"] for n in (1, 2, 3)] == [5, 5, 5]
        letter = lab.ear.dead_letter(run)
        assert (letter.priority, letter.headers["mine"], letter.headers["ledgerq-attempt"]) == (5, "too", 3)
        assert {death["queue"]: death["count"] for death in letter.headers["x-death"]} == {
            Tier.NORMAL.queue: 1,
            "delay.00": 1,  # of the last wait only: what the broker told of earlier ones is not sent along
        }

    def test_the_wait_between_attempts_is_the_policys(self, lab: Lab) -> None:
        run = lab.publish("lab.fail")
        lab.ear.until(run, "task.failed 3")
        first, second = (
            datetime.fromisoformat(lab.ear.event(run, f"task.started {n}").attributes["time"]) for n in (1, 2)
        )
        assert lab.ear.event(run, "task.retry_scheduled 1").data["delay_seconds"] == 1
        assert timedelta(seconds=1) <= second - first < timedelta(seconds=5)

    def test_self_retry_gives_the_next_attempt_other_arguments(self, lab: Lab) -> None:
        run = lab.publish("lab.retry_itself", 2)
        assert lab.ear.until(run, "task.succeeded 3") == attempts(AGAIN, AGAIN, "succeeded")
        assert lab.ear.event(run, "task.succeeded 3").data["result"] == "2"
        scheduled = lab.ear.event(run, "task.retry_scheduled 2").data
        assert (scheduled["error_type"], scheduled["error"]) == ("ValueError", "not there yet")
        assert scheduled["spent_by"] == "exception"

    def test_a_retry_asked_for_without_raising_goes_on_too(self, lab: Lab) -> None:
        run = lab.publish("lab.retry_quietly")
        assert lab.ear.until(run, "task.succeeded 2") == attempts(AGAIN, "succeeded")
        assert lab.ear.event(run, "task.succeeded 2").data["result"] == '"now"'

    def test_attempts_that_celery_counted_are_counted(self, lab: Lab) -> None:
        run = lab.publish("lab.fail", headers={"retries": 2})
        assert lab.ear.until(run, "task.failed 3") == ["task.started 3", "task.failed 3"]


class TestNotRun:
    def test_an_expired_run_is_not_executed_and_no_dead_letter(self, lab: Lab) -> None:
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        run = lab.publish("lab.add", 1, 1, headers={"expires": past})
        assert lab.ear.until(run, "task.expired 1") == ["task.expired 1"]
        assert lab.ear.event(run, "task.expired 1").data["error_type"] == "Expired"
        assert not lab.ear.dead_letters(run)

    def test_a_revoked_run_is_not_executed_and_no_dead_letter(self, lab: Lab) -> None:
        lab.publish("lab.add", 1, 1, headers={"id": REVOKED_RUN})
        assert lab.ear.until(REVOKED_RUN, "task.revoked 1") == ["task.revoked 1"]
        assert not lab.ear.dead_letters(REVOKED_RUN)

    def test_a_run_whose_time_has_not_come_waits_in_the_broker(self, lab: Lab) -> None:
        eta = datetime.now(UTC) + timedelta(seconds=1.5)
        run = lab.publish("lab.add", 1, 1, headers={"eta": eta.isoformat()}, priority=2)
        story = lab.ear.until(run, "task.succeeded 1")
        assert story == ["task.received 1", "task.started 1", "task.succeeded 1"]
        assert datetime.fromisoformat(lab.ear.event(run, "task.started 1").attributes["time"]) >= eta
        assert lab.ear.event(run, "task.started 1").data["priority"] == 2

    def test_a_far_time_takes_no_place_in_a_worker(self, lab: Lab) -> None:
        eta = datetime.now(UTC) + timedelta(days=30)
        run = lab.publish("lab.add", 1, 1, headers={"eta": eta.isoformat()})
        assert lab.ear.until(run, "task.received 1") == ["task.received 1"]
        assert eventually(lambda: lab.depth("delay.16")) == 1

    def test_an_unknown_task_is_rejected(self, lab: Lab) -> None:
        run = lab.publish("lab.nobody_knows", priority=2)
        assert lab.ear.until(run, "task.rejected 1") == ["task.rejected 1"]
        rejected = lab.ear.event(run, "task.rejected 1").data
        assert (rejected["error_type"], rejected["task"]) == ("NotRegistered", "lab.nobody_knows")
        assert lab.ear.dead_letter(run).priority == 2


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


MALFORMED: dict[str, dict[str, Any]] = {
    "bad JSON": {"body": b'[["never'},
    "bad UTF-8": {"body": b'[["\xff\xfe"], {}, {}]'},
    "JSON too deep to read": {"body": nested(200_000)},
    "corrupt gzip": {"body": gzip.compress(b"[[], {}, {}]")[:-9], "headers": {"compression": "application/x-gzip"}},
    "unknown compression": {"headers": {"compression": "application/x-nothing"}},
    "compression that is a list": {"headers": {"compression": ["zlib"]}},
    "pickle": {"body": pickle.dumps(([], {}, {})), "content_type": "application/x-python-serialize"},
    "YAML": {"body": b"[[], {}, {}]", "content_type": "application/x-yaml"},
    "no content type": {"content_type": None},
    "unknown content type": {"content_type": "text/plain", "content_encoding": "klingon"},
    "body is empty": {"body": b""},
    "body is null": {"body": b"null"},
    "body is a number": {"body": b"0"},
    "body is a text": {"body": b'"task"'},
    "body is an empty list": {"body": b"[]"},
    "body has two parts": {"body": b"[[], {}]"},
    "body is a mapping, as protocol 1 has it": {"body": b'{"task": "lab.add", "id": "1", "args": [1, 1]}'},
    "arguments are no list": {"body": b"[1, {}, {}]"},
    "keyword arguments are no mapping": {"body": b"[[], [], {}]"},
    "third part is a list": {"body": b"[[], {}, []]"},
    "callbacks are a text": {"body": b'[[], {}, {"callbacks": "lab.add"}]'},
    "chord is a list": {"body": b'[[], {}, {"chord": [1]}]'},
    "no id": {"headers": {"id": None}},
    "id is a number": {"headers": {"id": 7}},
    "id is empty": {"headers": {"id": ""}},
    "id is too long": {"headers": {"id": "x" * 101}},
    "id is a list": {"headers": {"id": ["x"]}},
    "task is a number": {"headers": {"task": 7}},
    "task is empty": {"headers": {"task": ""}},
    "unknown task without id": {"task": "lab.nobody_knows", "headers": {"id": None}},
    "ETA is no date": {"headers": {"eta": "soon"}},
    "ETA is a number": {"headers": {"eta": 7}},
    "expires is no date": {"headers": {"expires": "later"}},
    "time limit is a scalar": {"headers": {"timelimit": 7}},
    "time limits are texts": {"headers": {"timelimit": ["a", "b"]}},
    "one time limit": {"headers": {"timelimit": [1]}},
    "stamped headers are a number": {"headers": {"stamped_headers": 7}},
    "stamps are a list": {"headers": {"stamps": [1]}},
    "retries are a text": {"headers": {"retries": "many"}},
    "retries are negative": {"headers": {"retries": -1}},
    "shadow is a mapping": {"headers": {"shadow": {}}},
    "group is a mapping": {"headers": {"group": {}}},
    "root id is a number": {"headers": {"root_id": 7}},
    "attempt 0": {"headers": {"ledgerq-attempt": 0}},
    "attempt beyond the last": {"headers": {"ledgerq-attempt": LAST_ATTEMPT + 1}},
    "attempt is a truth": {"headers": {"ledgerq-attempt": True}},
    "attempt is a word": {"headers": {"ledgerq-attempt": "first"}},
    "trace context is a number": {"headers": {"traceparent": 7}},
    "license is a list": {"headers": {"ledgerq-license-id": ["x"]}},
}


def table(entries: bytes) -> bytes:
    return struct.pack(">I", len(entries)) + entries


def long_string(text: bytes) -> bytes:
    return b"S" + struct.pack(">I", len(text)) + text


def arrays(depth: int) -> bytes:
    nested = b""
    for _ in range(depth):
        nested = b"A" + struct.pack(">I", len(nested)) + nested
    return nested


def tables(depth: int) -> bytes:
    nested = b"\x01at\x01"
    for _ in range(depth):
        nested = b"\x01aF" + table(nested)
    return nested


SOUND = b"\x04task" + long_string(b"lab.add") + b"\x02id"
HEADERS, CONTENT_TYPE = b"\x20\x00", b"\x80\x00"
TYPED, IDENTIFIED = b"\xa0\x00", b"\xa0\x80"  # content type and headers; those and a message id
JSON = b"\x10application/json"

ODD = {
    "a time past the year 9999": HEADERS + table(b"\x04when" + b"T" + struct.pack(">Q", 2**50)),
    "a time past all years": HEADERS + table(b"\x04when" + b"T" + struct.pack(">Q", 2**63)),
    "headers nested without end": HEADERS + table(b"\x04deep" + arrays(15_000)),
    "a content type that is not UTF-8": CONTENT_TYPE + b"\x02\xff\xfe",
    "an id that is not UTF-8": HEADERS + table(SOUND + long_string(b"\xff\xfe")),
    "an id with half a surrogate pair": HEADERS + table(SOUND + long_string(b"\xed\xa0\x80")),
    "a content type that is not UTF-8, and all else sound": TYPED
    + b"\x03\xff/x"
    + table(SOUND + long_string(b"odd-3")),
    "a message id that is not UTF-8": IDENTIFIED + JSON + table(SOUND + long_string(b"odd-4")) + b"\x01\xff",
    "a time that no system has": TYPED
    + JSON
    + table(SOUND + long_string(b"odd-5") + b"\x04when" + b"T" + struct.pack(">Q", 2**62)),
    "tables 5000 deep": TYPED + JSON + table(SOUND + long_string(b"odd-6") + tables(5_000)),
    "tables too deep for a pool": TYPED + JSON + table(SOUND + long_string(b"odd-7") + tables(480)),
    "arrays too deep for a pool": TYPED + JSON + table(SOUND + long_string(b"odd-8") + b"\x04deep" + arrays(480)),
    "a name that is not UTF-8": HEADERS + table(SOUND + long_string(b"odd-1") + b"\x02\xff\xfe" + b"t\x01"),
    "a license with half a surrogate pair": HEADERS
    + table(SOUND + long_string(b"odd-2") + b"\x12ledgerq-license-id" + long_string(b"\xed\xa0\x80")),
}


class RawProperties(pika.BasicProperties):
    """Properties as bytes, for those that no client writes."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__()
        self._encoded = encoded

    def encode(self) -> list[bytes]:
        return [self._encoded]


def rejections(lab: Lab) -> int:
    """How many runs have ended rejected."""
    return sum("task.rejected 1" in lab.ear.story(run) for run in list(lab.ear.heard))


class TestMalformed:
    @pytest.mark.parametrize("what", ODD)
    def test_no_property_however_odd_harms_the_worker(self, lab: Lab, worker: WorkerProcess, what: str) -> None:
        body = json.dumps([["odd", what], {}, {}]).encode()
        before = rejections(lab)
        with lab.channel() as channel:
            channel.basic_publish("tasks", Tier.NORMAL.queue, body, RawProperties(ODD[what]))
        eventually(lambda: [letter for letter in list(lab.ear.dead) if letter.body == body])
        assert eventually(lambda: rejections(lab) - before) == 1
        ready = worker.log.read_text().count("worker ready")
        run = lab.publish("lab.add", 1, 1)
        lab.ear.until(run, "task.succeeded 1")
        assert worker.is_alive()
        assert ready == 1

    @pytest.mark.parametrize("what", MALFORMED)
    def test_a_malformed_message_is_rejected_with_its_reason_and_kept(
        self, lab: Lab, worker: WorkerProcess, what: str
    ) -> None:
        message = {"task": "lab.add", **MALFORMED[what]}
        body: bytes = message.setdefault("body", json.dumps([["malformed", what], {}, {}]).encode())
        sent = lab.publish(**message)
        told = {"id": sent, "task": message["task"], **message.get("headers", {})}
        run = message_run_id(body, told)
        assert lab.ear.until(run, "task.rejected 1") == ["task.rejected 1"]
        rejected = lab.ear.event(run, "task.rejected 1").data
        assert rejected["error_type"] in {"HeaderInvalid", "BodyInvalid", "BodyUndecodable", "ContentTypeRefused"}
        assert rejected["error"]
        letter = eventually(lambda: lab.ear.dead_letters(sent))
        assert [(kept.body, kept.headers["task"]) for kept in letter] == [(body, told["task"])]
        assert worker.is_alive()

    def test_a_message_without_any_header_is_rejected(self, lab: Lab) -> None:
        with lab.channel() as channel:
            channel.basic_publish("tasks", Tier.NORMAL.queue, b"hello")
        run = message_run_id(b"hello", None)
        assert lab.ear.until(run, "task.rejected 1") == ["task.rejected 1"]
        assert lab.ear.event(run, "task.rejected 1").data["task"] == "unknown"
        assert lab.ear.event(run, "task.rejected 1").data["error_type"] == "NoTaskHeader"

    def test_a_malformed_message_that_names_a_running_run_does_not_share_its_fate(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        started, go = tmp_path / "started", tmp_path / "go"
        run = lab.publish("lab.wait_for", str(started), str(go))
        eventually(started.exists)
        malformed = lab.publish("lab.wait_for", body=b"{", headers={"id": run})
        lab.ear.until(run, "task.rejected 1")
        assert lab.ear.dead_letter(malformed).body == b"{"
        go.touch()
        lab.ear.until(run, "task.succeeded 1")


class TestTogether:
    def test_many_runs_are_told_of_in_few_messages(self, lab: Lab, worker: WorkerProcess) -> None:
        worker.gate.touch()
        runs = [lab.publish("lab.add", n, n) for n in range(4)]
        lab_batches = len(lab.ear.batches)
        assert not any(lab.ear.story(run) for run in runs)
        eventually(lambda: all(f'"run_id": "{run}"' in worker.log.read_text() for run in runs))
        worker.gate.unlink()
        for run in runs:
            lab.ear.until(run, "task.succeeded 1")
        assert max(lab.ear.batches[lab_batches:]) > 2

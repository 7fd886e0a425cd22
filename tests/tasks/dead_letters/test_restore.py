"""The broker's queue of dead letters, purged by hand, comes back from the log, and nowhere else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pika
import pytest

from infra.settings import Settings
from tasks.ingest.delivery import Delivery
from tasks.ingest.letters import Letters
from tests.infra.broker.virtual_host import Taken, VirtualHost
from tests.tasks.dead_letters.morgue import NOW, WHY, Morgue
from tests.waiting import eventually


@pytest.fixture
def host(fresh_platform: Settings) -> Iterator[VirtualHost]:
    with closing(VirtualHost(fresh_platform)) as found:
        found.purge()
        yield found


def die(host: VirtualHost, morgue: Morgue, body: bytes = b"[[], {}, {}]", **headers: Any) -> Taken:
    """A message is rejected out of its tier's queue, and recorded; the broker's copy of it, put back."""
    run_id = str(uuid4())
    told = {"id": run_id, "task": "bill.charge", "lang": "py", "retries": 2, **headers}
    properties = pika.BasicProperties(
        headers=told, content_type="application/json", content_encoding="utf-8", priority=3, delivery_mode=2
    )
    host.channel.basic_publish("tasks", "tasks.high", body, properties)
    host.reject("tasks.high")
    record(morgue, host.take("dead.record"))
    return host.take("dead")


def record(morgue: Morgue, taken: Taken) -> None:
    """What ingest does with it."""
    told = taken.properties
    letter = Delivery(
        tag=1,
        content_type=told.content_type,
        headers=told.headers,
        body=taken.body,
        message_id=told.message_id,
        priority=told.priority,
        redelivered=False,
        received_at=datetime.now(UTC),
        content_encoding=told.content_encoding,
    )
    Letters(morgue.store).take([letter])


@pytest.mark.parametrize(
    "body", [b'[["\xc3\xa9"], {}, {}]', gzip.compress(b"[]", mtime=0), b"\0\xff", b"\xff\xfe[", b""]
)
def test_a_purged_letter_comes_back_as_it_was_and_only_to_people(
    morgue: Morgue, host: VirtualHost, body: bytes
) -> None:
    before = die(host, morgue, body, group="g", timelimit=[60, None])
    done = morgue.call("restore")
    assert (done.exit_code, "1 restored" in done.output) == (0, True), done.output
    after = host.take("dead")
    assert after.body == before.body
    for name in ("content_type", "content_encoding", "priority", "delivery_mode"):
        assert getattr(after.properties, name) == getattr(before.properties, name), name
    broker_s = {name for name in before.properties.headers if name.startswith("x-")}
    assert "x-death" in broker_s
    kept = {name: value for name, value in before.properties.headers.items() if name not in broker_s}
    marks = {name: value for name, value in after.properties.headers.items() if name not in kept}
    marks.pop("x-delivery-count")  # of this very delivery, as of any from a quorum queue
    assert {name: after.properties.headers[name] for name in kept} == kept
    assert set(marks) == {"ledgerq-restored", "ledgerq-death-reason", "ledgerq-death-queue", "ledgerq-death-at"}
    assert (marks["ledgerq-death-reason"], marks["ledgerq-death-queue"]) == ("rejected", "tasks.high")
    assert host.depth("dead.record") == 0


def test_letters_are_not_put_beside_those_that_lie_there_unless_forced(morgue: Morgue, host: VirtualHost) -> None:
    die(host, morgue)
    assert "1 restored" in morgue.call("restore").output
    eventually(lambda: host.depth("dead") == 1)
    again = morgue.call("restore")
    assert (again.exit_code, "twice" in again.output) == (1, True), again.output
    assert host.depth("dead") == 1
    assert "1 restored" in morgue.call("restore", "--force").output
    eventually(lambda: host.depth("dead") == 2)


def test_only_open_letters_of_the_last_day_come_back_unless_others_are_meant(morgue: Morgue, host: VirtualHost) -> None:
    old = morgue.bury(died_at=NOW - timedelta(hours=30))
    replayed, fresh = morgue.bury(), morgue.bury()
    morgue.replay("--run", replayed)
    assert "would restore 1 dead letters" in morgue.call("restore", "--dry-run").output
    assert host.depth("dead") == 0
    assert "1 restored" in morgue.call("restore").output
    assert host.take("dead").properties.headers["id"] == fresh
    assert "2 restored" in morgue.call("restore", "--since", "3d").output
    assert {host.take("dead").properties.headers["id"] for _ in range(2)} == {old, fresh}


def test_a_letter_whose_body_was_not_kept_comes_back_from_its_request_or_is_named(
    morgue: Morgue, host: VirtualHost
) -> None:
    large = "x" * 70_000
    asked = morgue.bury(requested=True, text=large)
    morgue.bury(text=large)
    done = morgue.call("restore")
    assert "1 restored" in done.output
    assert "1 left alone: its body was not kept" in done.output
    taken = host.take("dead")
    assert (taken.properties.headers["id"], json.loads(taken.body)[1]) == (asked, {"text": large})


def test_a_restored_letter_can_be_replayed_like_any_other(morgue: Morgue, host: VirtualHost) -> None:
    die(host, morgue, b'[[], {"month": 5}, {}]')
    morgue.call("restore")
    host.take("dead")
    (new_run,) = morgue.replay("--all").values()
    assert morgue.request(new_run).kwargs == {"month": 5}
    assert WHY[1] in morgue.call("replays").output

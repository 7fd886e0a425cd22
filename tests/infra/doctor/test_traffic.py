"""Clients that behave badly, for real: each is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from infra.broker.management import ManagementApi
from tests.infra.doctor.ward import Ward

pytestmark = pytest.mark.system


def test_messages_that_nobody_consumes_are_named(ward: Ward) -> None:
    channel = ward.channel()
    channel.confirm_delivery()
    channel.basic_publish("tasks", "tasks.critical", b"{}")
    finding = ward.finding("no_consumers")
    assert finding.where == "queue tasks.critical"
    assert finding.what == "1 messages wait and nobody consumes"
    assert "worker --tier critical" in finding.remedy


def test_a_worker_of_somebody_elses_with_a_prefetch_is_named(ward: Ward) -> None:
    channel = ward.channel(connection_name="stock celery")
    channel.basic_qos(prefetch_count=4)
    channel.basic_consume("tasks.high", lambda *_: None)
    finding = ward.finding("prefetch_defeats_priority")
    assert finding.where == "consumer of tasks.high, stock celery"
    assert "takes 4 messages ahead" in finding.what


def test_a_worker_without_a_limit_is_named(ward: Ward) -> None:
    ward.channel(ledgerq_children=4).basic_consume("tasks.high", lambda *_: None)
    assert "without a limit" in ward.finding("prefetch_defeats_priority").what


def test_a_consumer_whose_channel_the_broker_cannot_name_yet_waits_for_the_next_look(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed = {"queue": {"name": "tasks.high"}, "prefetch_count": 0, "consumer_tag": "1", "channel_details": []}
    asked = ManagementApi.get
    answer = [unnamed, {**unnamed, "channel_details": {"connection_name": "127.0.0.1:5 -> 127.0.0.1:6"}}]
    monkeypatch.setattr(ManagementApi, "get", lambda api, path: answer if "consumers" in path else asked(api, path))
    assert "127.0.0.1:5" in ward.finding("prefetch_defeats_priority").where


def test_a_worker_with_one_message_per_child_is_fine(ward: Ward) -> None:
    channel = ward.channel(ledgerq_children=4)
    channel.basic_qos(prefetch_count=4)
    channel.basic_consume("tasks.high", lambda *_: None)
    other = ward.channel(ledgerq_children=4, connection_name="one too many")
    other.basic_qos(prefetch_count=5)
    other.basic_consume("tasks.high", lambda *_: None)
    assert ward.finding("prefetch_defeats_priority").where == "consumer of tasks.high, one too many"


def test_a_worker_that_takes_too_much_ahead_is_named(ward: Ward) -> None:
    channel = ward.channel(ledgerq_children=1, connection_name="ours")
    channel.basic_qos(prefetch_count=64)
    channel.basic_consume("tasks.high", lambda *_: None, consumer_tag="ahead:tasks.high")
    channel.basic_qos(prefetch_count=65)
    channel.basic_consume("tasks.low", lambda *_: None, consumer_tag="ahead:tasks.low")
    assert ward.finding("prefetch_defeats_priority").where == "consumer of tasks.low, ours"


def test_a_publisher_without_confirms_is_named(ward: Ward) -> None:
    ward.channel(connection_name="careless").basic_publish("", "a queue that is not there", b"{}")
    sure = ward.channel(connection_name="careful")
    sure.confirm_delivery()
    sure.basic_publish("tasks", "tasks.normal", b"{}")
    sure.queue_purge("tasks.normal")
    finding = ward.finding("missing_confirms")
    assert finding.where == "publisher careless"
    assert "without confirms" in finding.what


def test_a_clock_that_is_off_is_named(ward: Ward) -> None:
    findings = ward.examine(ahead=timedelta(seconds=10)).findings
    assert [finding.where for finding in findings] == ["clock of the broker", "clock of the database"]
    assert all("behind this host's" in finding.what for finding in findings)
    ahead = ward.examine(ahead=timedelta(seconds=-10)).findings
    assert all("ahead of this host's" in finding.what for finding in ahead)
    assert len(ahead) == 2


def test_a_task_that_may_run_longer_than_the_broker_waits_is_named(ward: Ward) -> None:
    enough = ward.settings.consumer_timeout_seconds
    assert not ward.examine(limits={"report": timedelta(seconds=enough)}).findings
    findings = ward.examine(limits={"report": timedelta(seconds=enough + 1), "mail": timedelta(seconds=5)}).findings
    assert {finding.check for finding in findings} == {"consumer_timeout"}
    assert len(findings) == 4
    assert "task report may run for 7201 s" in findings[0].what

"""Misconfigurations of the topology, made for real: each is named, with what to do."""

from __future__ import annotations

import pytest

from infra.broker.granting import grant
from infra.broker.roles import user_of
from infra.broker.topology import TOPOLOGY
from tests.infra.doctor.ward import SECONDS, Ward
from tests.waiting import eventually

pytestmark = pytest.mark.system


def test_a_healthy_broker_gives_no_finding(ward: Ward) -> None:
    report = ward.examine()
    assert (report.findings, report.unseen) == ([], [])


def test_a_missing_queue_is_named(ward: Ward) -> None:
    ward.replace_queue("tasks.low", None)
    findings = ward.examine().findings
    (queue, *bindings) = findings
    assert (queue.check, queue.where) == ("missing_queue", "queue tasks.low")
    assert {finding.check for finding in bindings} == {"missing_binding"}
    assert "binding tasks → tasks.low (tasks.low)" in {finding.where for finding in bindings}
    assert len(bindings) == sum(binding.destination == "tasks.low" for binding in TOPOLOGY.bindings)
    assert "ledgerq topology apply" in queue.remedy


def test_a_queue_with_other_arguments_is_named_with_the_difference(ward: Ward) -> None:
    wanted = next(queue for queue in TOPOLOGY.queues if queue.name == "unrouted.refused")
    ward.replace_queue("unrouted.refused", {**wanted.arguments, "x-max-length": 5})
    finding = ward.finding("queue_drifted")
    assert finding.where == "queue unrouted.refused"
    assert finding.what == "has x-max-length 5, wanted is 0"


def test_a_missing_exchange_is_named(ward: Ward) -> None:
    ward.replace_exchange("unrouted.late", None)
    assert {finding.check for finding in ward.examine().findings} == {"missing_exchange", "missing_binding"}


def test_a_missing_binding_is_named(ward: Ward) -> None:
    ward.channel().queue_unbind("dead.record", "dead", "#")
    finding = ward.finding("missing_binding")
    assert finding.where == "binding dead → dead.record (#)"
    assert "gets nothing" in finding.what


def test_a_direct_exchange_cannot_carry_delays(ward: Ward) -> None:
    ward.replace_exchange("tasks", "direct")
    finding = ward.finding("direct_exchange_with_delays")
    assert finding.where == "exchange tasks"


def test_a_policy_that_ends_messages_is_named(ward: Ward) -> None:
    path = ward.api.of_vhost("policies", "short")
    definition = {"max-length": 10, "overflow": "drop-head"}
    ward.api.call("PUT", path, {"pattern": "^tasks[.]low$", "apply-to": "queues", "definition": definition})
    try:
        finding = ward.finding("policy_on_queue")
    finally:
        ward.api.call("DELETE", path)
    assert finding.where == "queue tasks.low"
    assert finding.what == "policy short sets max-length 10, overflow drop-head"
    eventually(lambda: not ward.examine().findings, seconds=SECONDS)


def test_a_role_with_more_rights_than_it_needs_is_named(ward: Ward) -> None:
    assert ward.examine().findings == []
    grant(ward.api)
    assert ward.examine().findings == []
    user = user_of("emitter", vhost=ward.api.vhost)
    ward.api.call("PUT", ward.api.of_vhost("permissions", user), {"configure": "", "write": ".*", "read": ""})
    finding = ward.finding("role_rights")
    assert finding.where == f"user {user}"
    assert finding.what == "may write .*, wanted is ^(events)$"
    grant(ward.api)

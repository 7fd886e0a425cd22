"""Which members of a chord a fork asks for again, and how, by what the log has of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.fan_in import Count
from domain.task_run import TaskRequested
from infra.event_store import EventStore
from tasks.dispatch import settling
from tasks.forks.planning import Fork, plan, start_named
from tasks.forks.records import Records
from tasks.forks.refusal import ForkRefusedError
from tasks.forks.workflow import workflow_of
from tasks.reconcile.fan_in_repair import end_fan_ins
from tasks.reconcile.fan_ins import StuckFanIn
from tests.tasks.dispatch.declared import FanIn


def fork(store: EventStore, fan_in: FanIn, start: str = "failed") -> Fork:
    workflow = workflow_of(Records(store), fan_in.id)
    return plan(workflow, start_named(workflow, start), name="1", actor="test")


def requests(planned: Fork) -> list[TaskRequested]:
    return [each.event for each in planned.facts if isinstance(each.event, TaskRequested)]


def test_of_a_chord_that_was_sent_by_half_no_fork_waits_for_what_was_never_sent(store: EventStore) -> None:
    fan_in = FanIn(store, members=2)
    fan_in.declare()
    fan_in.end(0, "1")
    fan_in.look()
    now = datetime.now(UTC)
    end_fan_ins(store, [StuckFanIn(fan_in.id, now, Count(2, 1, 0), None, (fan_in.runs[1],))], actor="test", at=now)
    with pytest.raises(ForkRefusedError, match=rf"{fan_in.runs[1]} .*what it was called with is not recorded"):
        fork(store, fan_in)


def test_a_member_that_may_yet_come_counts_in_the_fork_of_a_chord_that_failed_without_it(store: EventStore) -> None:
    fan_in = FanIn(store, members=2)
    fan_in.declare()
    fan_in.tell(0, "task.chain_recorded", links=[], args=[7], kwargs={})
    fan_in.end(0, None)
    fan_in.look()
    (again,) = requests(fork(store, fan_in))
    assert again.args == (7,)


def test_a_member_that_was_revoked_before_it_began_keeps_its_tier_priority_and_license(store: EventStore) -> None:
    fan_in = FanIn(store, members=1)
    fan_in.declare()
    said = {"links": [], "args": [], "kwargs": {}, "queue": "tasks.low", "priority": 2, "license_id": "l-1"}
    fan_in.tell(0, "task.chain_recorded", **said)
    fan_in.tell(0, "task.revoked", error_type="LicenseRevoked", error="the license l-1 is revoked")
    fan_in.look()
    (again,) = requests(fork(store, fan_in))
    assert (again.tier, again.priority, again.license_id) == ("low", 2, "l-1")


@pytest.mark.parametrize("start", ["failed", "total"])
def test_a_fork_that_would_fail_again_for_the_size_of_its_members_values_is_refused(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setattr(settling, "VALUES_LIMIT_BYTES", 1_000)
    fan_in = FanIn(store, members=2)
    fan_in.declare()
    for number in range(2):
        fan_in.end(number, f'"{"x" * 600}"')
    fan_in.look()
    with pytest.raises(ForkRefusedError, match="takes more than 1000 bytes together"):
        fork(store, fan_in, start)

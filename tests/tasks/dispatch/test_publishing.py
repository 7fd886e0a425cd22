"""Accepted runs reach the broker, and nothing between the two logs can lose one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.cause import Cause
from domain.run import revocation_requested
from domain.story import story_stream
from domain.task_run import run_stream, task_event
from domain.tier import Tier
from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError
from infra.broker.publisher import Confirmation, OutgoingMessage, Publisher
from infra.database import DatabaseUnreachableError
from infra.event_store import CheckpointMovedError, Log, caused
from infra.settings import Settings
from tasks.dispatch.publishing import PublishingFollower
from tasks.revoking import ask_for_revocation_of_story
from tests.tasks.dispatch.world import World
from tests.waiting import eventually


def until_quiet(follower: PublishingFollower) -> None:
    while follower.step():
        pass


def until_published(follower: PublishingFollower, world: World, runs: set[str]) -> None:
    def looked() -> bool:
        follower.step()
        return world.published() >= runs

    eventually(looked)


@pytest.mark.parametrize("tier", list(Tier))
def test_an_accepted_run_lies_in_its_tiers_queue_and_is_recorded_as_published(world: World, tier: Tier) -> None:
    run = world.accept(tier=tier.value, priority=1, args=(1,), kwargs={"two": 2})
    until_quiet(world.follower())
    (message,) = world.waiting_in(tier)
    assert (message.run_id, message.body[:2], message.priority) == (run, [[1], {"two": 2}], 1)
    assert world.names_in(run) == ["task.requested", "task.published"]


def test_runs_of_one_tier_are_published_in_the_order_of_their_acceptance(world: World) -> None:
    runs = [world.accept() for _ in range(7)]
    until_quiet(world.follower(page_runs=3))
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == runs


def test_a_run_that_is_taken_back_before_it_is_published_ends_so_and_is_not_published(world: World) -> None:
    revoked, kept = world.accept(), world.accept()
    now = datetime.now(UTC)
    event = revocation_requested(revoked, task="a.task", reason="ordered twice", at=now)
    world.store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=now, actor="pat")))
    until_quiet(world.follower())
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [kept]
    assert world.names_in(revoked) == ["task.requested", "task.revoked", "task.revocation_requested"]
    assert world.names_in(kept) == ["task.requested", "task.published"]


def test_a_run_that_is_asked_for_after_its_story_was_taken_back_ends_so_and_is_not_published(world: World) -> None:
    story, follower = uuid4(), world.follower()
    ask_for_revocation_of_story(world.store, str(story), reason="ordered twice", actor="pat", at=datetime.now(UTC))
    until_quiet(follower)
    late, kept = world.accept(run_id=story), world.accept()
    until_quiet(follower)
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [kept]
    assert world.names_in(late) == ["task.requested", "task.revoked"]
    [fact] = world.store.load_recorded(Log.TASKS, [story_stream(str(story))])[story_stream(str(story))]
    end = world.store.load_recorded(Log.TASKS, [run_stream(late)])[run_stream(late)][-1]
    assert end.event.data()["error"] == "ordered twice (asked for by pat)"
    assert end.event.data()["decided_by"] == end.metadata["causation_id"] == str(fact.event_id)


def test_a_follower_that_takes_over_publishes_only_what_is_left(world: World) -> None:
    before = world.accept()
    until_quiet(world.follower())
    after = world.accept()
    until_quiet(world.follower())
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [before, after]


def test_an_unroutable_run_holds_up_no_other_tier_and_arrives_once_its_queue_is_bound_again(world: World) -> None:
    world.unbind(Tier.LOW)
    low, normal = world.accept(tier="low"), world.accept(tier="normal")
    follower = world.follower()
    follower.step()
    later = world.accept(tier="normal")
    follower.step()
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [normal, later]
    assert world.names_in(low) == ["task.requested"]

    world.bind(Tier.LOW)
    until_published(follower, world, {low})
    assert [message.run_id for message in world.waiting_in(Tier.LOW)] == [low]
    assert world.names_in(low) == ["task.requested", "task.published"]


def test_while_a_queue_is_unbound_only_one_run_is_tried_again_and_then_all_follow(world: World) -> None:
    world.unbind(Tier.LOW)
    runs = world.accept_all([(uuid4(), "a.task", {"tier": "low"}) for _ in range(20)])
    follower = world.follower()
    failures = 0

    def failed_three_times() -> bool:
        nonlocal failures
        failures += follower.step()
        return failures == 3

    eventually(failed_three_times)
    eventually(lambda: world.depth("unrouted") == 20 + 2)  # a copy for each try: twenty, one, one
    world.bind(Tier.LOW)
    until_published(follower, world, set(runs))
    assert sorted(message.run_id for message in world.waiting_in(Tier.LOW)) == sorted(runs)


def test_a_restart_does_not_forget_a_run_that_could_not_be_published(world: World) -> None:
    world.unbind(Tier.LOW)
    low, _ = world.accept(tier="low"), world.accept(tier="normal")
    follower = world.follower()
    until_quiet(follower)
    follower.note_position()
    world.bind(Tier.LOW)
    until_quiet(world.follower())
    assert [message.run_id for message in world.waiting_in(Tier.LOW)] == [low]


def test_runs_that_a_full_queue_refused_follow_when_there_is_room_and_the_others_are_not_repeated(
    world: World,
) -> None:
    world.make_small(Tier.LOW)
    follower = world.follower()
    runs = world.accept_all([(uuid4(), "a.task", {"tier": "low"}) for _ in range(3)])
    arrived: list[str] = []

    def took_all() -> bool:
        follower.step()
        arrived.extend(message.run_id for message in world.waiting_in(Tier.LOW))
        return len(arrived) >= len(runs)

    eventually(took_all)
    until_quiet(follower)
    assert sorted(arrived) == sorted(runs)
    assert world.published() == set(runs)


def test_a_run_that_no_broker_could_carry_ends_rejected_and_the_others_go_on(world: World) -> None:
    before, spoilt, urgent, after = (
        world.accept(),
        world.accept("x" * 300),
        world.accept(tier="urgent"),
        world.accept(),
    )
    until_quiet(world.follower())
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [before, after]
    assert world.names_in(spoilt) == world.names_in(urgent) == ["task.requested", "task.rejected"]
    assert "300 bytes" in world.stream(spoilt)[-1].data()["error"]


def test_a_run_that_fits_no_frame_ends_rejected_and_the_rest_of_its_batch_goes_on(world: World) -> None:
    before, after = uuid4(), uuid4()
    spoilt = world.accept_all(
        [(before, "a.task", {}), (uuid4(), "a.task", {"license_id": "x" * 200_000}), (after, "a.task", {})]
    )[1]
    until_quiet(world.follower())
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [str(before), str(after)]
    assert world.names_in(spoilt) == ["task.requested", "task.rejected"]


def test_an_acceptance_that_nobody_can_read_ends_rejected_and_the_others_go_on(world: World) -> None:
    run = str(uuid4())
    world.sql(
        "insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at)"
        " values (%s, 1, 'task.requested', '{\"task\": 5}', gen_random_uuid(), now())",
        f"task_run-{run}",
    )
    after = world.accept()
    until_quiet(world.follower())
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [after]
    (end,) = world.store.read("tasks", after=0, limit=9, names=("task.rejected",)).events  # type: ignore[arg-type]
    assert end.event.originator_id == f"task_run-{run}"


class Dying:
    """A publisher whose process ends right after the broker has confirmed."""

    def __init__(self, settings: Settings) -> None:
        self._publisher = Publisher(settings, role="dying")

    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        self._publisher.publish(messages, timeout=timeout)
        self._publisher.close()
        raise KilledError


class KilledError(BaseException):
    pass


def test_killed_between_publication_and_record_the_run_is_published_again_as_the_same_attempt(world: World) -> None:
    run = world.accept()
    with pytest.raises(KilledError):
        world.follower(Dying(world.settings)).step()  # type: ignore[arg-type]
    until_quiet(world.follower())
    first, second = world.waiting_in(Tier.NORMAL)
    assert first.run_id == second.run_id == run
    assert first.headers["ledgerq-attempt"] == second.headers["ledgerq-attempt"] == 1
    assert world.names_in(run) == ["task.requested", "task.published"]


def test_a_run_that_a_worker_has_had_is_not_published_again(world: World) -> None:
    run = world.accept()
    with pytest.raises(KilledError):
        world.follower(Dying(world.settings)).step()  # type: ignore[arg-type]
    assert len(world.waiting_in(Tier.NORMAL)) == 1
    said = {"task": "a.task", "attempt": 1, "worker": "w1"}
    world.record(task_event("task.started", UUID(run), at=datetime.now(UTC), data=said))
    until_quiet(world.follower())
    assert world.waiting_in(Tier.NORMAL) == []
    assert world.names_in(run) == ["task.requested", "task.published", "task.started"]


def test_a_doubtful_run_whose_stream_nobody_can_read_is_published_again_and_holds_up_no_other(world: World) -> None:
    run, other = world.accept(), world.accept()
    with pytest.raises(KilledError):
        world.follower(Dying(world.settings)).step()  # type: ignore[arg-type]
    assert len(world.waiting_in(Tier.NORMAL)) == 2
    world.sql(
        "insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at)"
        " values (%s, 9, 'task.started', '{\"task\": 5}', gen_random_uuid(), now())",
        f"task_run-{run}",
    )
    said = {"task": "a.task", "attempt": 1, "worker": "w1"}
    world.record(task_event("task.started", UUID(other), at=datetime.now(UTC), data=said))
    until_quiet(world.follower())
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [run]
    assert world.published() == {run, other}


def test_what_the_broker_confirmed_while_the_database_went_away_is_recorded_later_and_not_published_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.accept()
    follower = world.follower()

    def away() -> None:
        raise DatabaseUnreachableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "transaction", away)
        with pytest.raises(DatabaseUnreachableError):
            follower.step()
    follower.take_over()
    until_quiet(follower)
    assert [message.run_id for message in world.waiting_in(Tier.NORMAL)] == [run]
    assert world.names_in(run) == ["task.requested", "task.published"]


class Forgetful:
    """A publisher that cannot reach the broker for a while."""

    def __init__(self, settings: Settings, *, failures: int) -> None:
        self._publisher = Publisher(settings, role="forgetful")
        self.failures = failures
        self.error: type[Exception] = BrokerUnreachableError

    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        if self.failures:
            self.failures -= 1
            raise self.error("away")
        answers = self._publisher.publish(messages, timeout=timeout)
        self._publisher.close()
        return answers


def test_while_the_broker_is_away_runs_stay_in_the_log_and_follow_when_it_is_back(world: World) -> None:
    runs = {world.accept(tier=tier.value) for tier in Tier}
    follower = world.follower(Forgetful(world.settings, failures=2))  # type: ignore[arg-type]
    until_published(follower, world, runs)
    assert {message.run_id for message in world.everything_waiting()} == runs


def test_a_refused_batch_is_published_run_by_run(world: World) -> None:
    publisher = Forgetful(world.settings, failures=2)
    publisher.error = BrokerRefusedError
    runs = world.accept_all([(uuid4(), "a.task", {}) for _ in range(3)])
    follower = world.follower(publisher)  # type: ignore[arg-type]
    follower.step()
    assert world.published() == set(runs[1:])
    until_published(follower, world, set(runs))
    assert sorted(message.run_id for message in world.waiting_in(Tier.NORMAL)) == sorted(runs)


def test_of_two_followers_at_once_the_one_that_comes_second_learns_it(world: World) -> None:
    first, second = world.follower(), world.follower()
    world.accept()
    until_quiet(first)
    with pytest.raises(CheckpointMovedError):
        second.step()
    assert {name for run in world.published() for name in world.names_in(run)} == {"task.requested", "task.published"}

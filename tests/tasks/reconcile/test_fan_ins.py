"""A chord whose client died before it had sent all members is named, and ends; one whose members wait does not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.fan_in import Count, FanInDeclared
from domain.run import RunState
from domain.tier import Tier
from infra.event_store import EventStore, Log
from tasks.reconcile.fan_in_repair import end_fan_ins
from tasks.reconcile.fan_ins import StuckFanIn, narrowed
from tests.tasks.dispatch.declared import FanIn, waited_for
from tests.tasks.reconcile.ground import Ground
from tests.waiting import eventually

SEEN = datetime(2026, 11, 26, 8, 2, 11, tzinfo=UTC)


class Chord:
    """A chord that a client of its own process has sent, or a part of it."""

    def __init__(self, ground: Ground, tier: Tier, *, members: int, dies_at: int = -1) -> None:
        self.body, self._ground = str(uuid4()), ground
        client = subprocess.run(
            (
                *(sys.executable, "-m", "tests.tasks.reconcile.dying_client"),
                *(tier.value, str(members), str(dies_at), self.body),
            ),
            env=ground.built.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert client.returncode == (0 if dies_at < 0 else -signal.SIGKILL), client.stderr
        self.declared = eventually(self._declared, seconds=30)

    def _declared(self) -> FanInDeclared | None:
        page = self._ground.store.read(Log.TASKS, after=0, limit=1000, names=(FanInDeclared.TOPIC,))
        found = [each.event for each in page.events if isinstance(each.event, FanInDeclared)]
        return next((each for each in found if each.body["options"]["task_id"] == self.body), None)

    @property
    def fan_in_id(self) -> str:
        return self.declared.originator_id.removeprefix("fan_in-")

    @property
    def members(self) -> list[str]:
        return [links[0] for links in self.declared.members]

    def names(self) -> list[str]:
        stream = self.declared.originator_id
        return [event.name for event in self._ground.store.load(Log.TASKS, [stream])[stream]]


@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_chord_that_its_client_never_sent_whole_is_named_and_ends_and_one_that_waits_is_left_alone(
    ground: Ground,
) -> None:
    broken = Chord(ground, Tier.NORMAL, members=3, dies_at=1)
    waiting = Chord(ground, Tier.LOW, members=2)
    ground.worker(Tier.NORMAL)
    eventually(lambda: ground.has(broken.members[0], "task.succeeded"), seconds=60)
    ground.kill_workers()
    ground.let_the_statistics_catch_up()

    found = ground.reconcile("--read", "--repair", "--fan-in-age", "0", status=0)
    assert [each["fan_in_id"] for each in found["fan_ins"]] == [broken.fan_in_id]
    assert found["fan_ins"][0]["missing"] == broken.members[1:]
    assert found["ended_fan_ins"] == {"failed": [broken.fan_in_id], "moved": []}
    assert broken.names() == ["fan_in.declared", "fan_in.failed"]
    ended = ground.run(broken.body)
    assert ended is not None
    assert ended.state is RunState.FAILED
    assert "2 of 3 members were never recorded and are in no queue" in ended.events[-1].data()["error"]

    ground.worker(Tier.LOW)
    eventually(lambda: ground.has(waiting.body, "task.requested"), seconds=60)
    late = StuckFanIn(waiting.fan_in_id, SEEN, Count(2, 0, 0), None, tuple(waiting.members))
    assert end_fan_ins(ground.store, [late], actor="test", at=SEEN).moved == [late]
    assert waiting.names() == ["fan_in.declared", "fan_in.completed"]


def test_a_fan_in_that_was_ended_is_waited_for_no_longer(store: EventStore) -> None:
    broken, other = FanIn(store, members=2), FanIn(store, members=2)
    for each in (broken, other):
        each.declare()
        each.end(0, "1")
        each.look()
    stuck = StuckFanIn(broken.id, SEEN, Count(2, 1, 0), None, (broken.runs[1],))
    assert end_fan_ins(store, [stuck], actor="test", at=SEEN).failed == [stuck]
    assert waited_for(store) == {other.id}
    broken.end(1, "2")
    broken.look()
    assert [each.name for each in broken.story()] == ["fan_in.declared", "fan_in.failed"]


def fan_in(*missing: str, succeeded: int = 0, failed: int = 0, least: int | None = None) -> StuckFanIn:
    return StuckFanIn("f", SEEN, Count(3, succeeded, failed), least, missing)


@pytest.mark.parametrize(
    ("given", "nowhere", "missing"),
    [
        (fan_in("a", "b"), {"a", "b"}, ["a", "b"]),
        (fan_in("a", "b"), {"b"}, ["b"]),
        (fan_in("a", "b"), set(), None),
        (fan_in("a", "b", least=1), {"a", "b"}, None),
        (fan_in("a", "b", failed=1, least=1), {"a", "b"}, ["a", "b"]),
        (fan_in("a", "b", failed=1, least=1), {"a"}, None),
    ],
    ids=["all", "some", "none", "the other is enough", "the other has failed", "one may still come"],
)
def test_a_fan_in_is_stuck_where_those_that_are_not_missing_cannot_be_enough(
    given: StuckFanIn, nowhere: set[str], missing: Sequence[str] | None
) -> None:
    assert [list(each.missing) for each in narrowed([given], nowhere)] == ([] if missing is None else [missing])

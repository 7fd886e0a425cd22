"""The plan: what is killed and when, and what is asked for meanwhile. Pure: the same seed gives the same plan."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.tier import Tier

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.4, 2.2
RUNS_PER_SECOND: Final = 20
BURST_SECONDS: Final = 3
BURST_PART: Final = 0.7
"""So much of the load comes in bursts, which keep workers, recorders and ingest busy when they are killed."""
RESTART_SECONDS: Final = 6.0
"""About how long a killed server takes to be back; the load goes on through it."""


class Victim(StrEnum):
    """What can be killed."""

    CHILD = "child"
    """A process of a worker's pool."""
    WORKER = "worker"
    """A worker's main process; its children die with it."""
    INGEST = "ingest"
    DISPATCH = "dispatch"
    PROJECTOR = "projector"
    SCHEDULER = "scheduler"
    CONNECTION = "connection"
    """One process's connection to the broker, closed by the broker."""
    BROKER = "broker"
    DATABASE = "database"

    @property
    def is_server(self) -> bool:
        """Whether it is started again by us, with its data, and the platform has to live without it meanwhile."""
        return self in {Victim.BROKER, Victim.DATABASE}


_WEIGHTS: Final = {
    Victim.CHILD: 30,
    Victim.WORKER: 18,
    Victim.INGEST: 11,
    Victim.DISPATCH: 11,
    Victim.PROJECTOR: 8,
    Victim.SCHEDULER: 3,
    Victim.CONNECTION: 9,
    Victim.BROKER: 5,
    Victim.DATABASE: 5,
}
"""How often each is killed, of a hundred."""


class Kill(NamedTuple):
    """One kill.

    Attributes:
        pause_seconds: since the kill before.
        victim: what kind of thing.
        pick: which of those there are, 0 … 1.
        down_seconds: how long a server stays down before it is started again.
    """

    pause_seconds: float
    victim: Victim
    pick: float
    down_seconds: float


class Wish(NamedTuple):
    """A run that is asked for.

    Attributes:
        after_seconds: counted from the start of the load.
        run_id: its id.
        task: the task's name.
        tier: its tier.
        priority: within the tier.
        kwargs: keyword arguments but for the place of the marks.
        is_direct: published by a Celery client, past ingest and dispatch.
    """

    after_seconds: float
    run_id: UUID
    task: str
    tier: Tier
    priority: int
    kwargs: dict[str, Any]
    is_direct: bool


class Plan(NamedTuple):
    """All of it."""

    seed: int
    kills: tuple[Kill, ...]
    wishes: tuple[Wish, ...]

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return _length(self.kills)


def plan(*, seed: int, kills: int) -> Plan:
    """The plan of ``kills`` kills; each kind of victim is among them where there are enough."""
    chance = random.Random(seed)  # noqa: S311  has to be repeatable
    victims = list(Victim) if kills >= len(Victim) else []
    victims += chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=kills - len(victims))
    chance.shuffle(victims)
    planned = tuple(_kill(chance, victim) for victim in victims)
    count = max(1, round(_length(planned) * RUNS_PER_SECOND))
    wishes = sorted((_wish(chance, _length(planned)) for _ in range(count)), key=lambda wish: wish.after_seconds)
    return Plan(seed, planned, tuple(wishes))


def _length(kills: tuple[Kill, ...]) -> float:
    servers = sum(RESTART_SECONDS + kill.down_seconds for kill in kills if kill.victim.is_server)
    return sum(kill.pause_seconds for kill in kills) + servers / 2


def _kill(chance: random.Random, victim: Victim) -> Kill:
    pause = chance.uniform(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    return Kill(pause, victim, chance.random(), chance.uniform(0, 2))


def _wish(chance: random.Random, length_seconds: float) -> Wish:
    task, kwargs, is_direct = _work(chance)
    tier = chance.choice(list(Tier))
    moment = chance.uniform(0, length_seconds)
    return Wish(
        after_seconds=moment // BURST_SECONDS * BURST_SECONDS if chance.random() < BURST_PART else moment,
        run_id=UUID(int=chance.getrandbits(128), version=4),
        task=task,
        tier=tier,
        priority=chance.randint(0, tier.max_priority),
        kwargs=kwargs,
        is_direct=is_direct,
    )


def _work(chance: random.Random) -> tuple[str, dict[str, Any], bool]:
    """Task, arguments, and whether a Celery client publishes it; see :mod:`tasks.sample.marking`."""
    kinds: dict[str, tuple[int, str, dict[str, Any]]] = {
        "quick": (50, "sample.mark", {"duration_ms": chance.randint(0, 20)}),
        "slow": (16, "sample.mark", {"duration_ms": chance.randint(200, 1500)}),
        "flaky": (10, "sample.mark_then_fail", {"times": chance.randint(1, 2)}),
        "failing": (8, "sample.mark_then_fail", {"times": 1_000}),
        "dying": (5, "sample.mark_then_die", {"times": chance.randint(1, 4)}),
        "hanging": (2, "sample.mark_then_hang", {}),
        "stock": (9, "sample.stock_mark", {"duration_ms": chance.randint(0, 200)}),
    }
    (kind,) = chance.choices(list(kinds), [weight for weight, _, _ in kinds.values()])
    _, task, kwargs = kinds[kind]
    return task, kwargs, kind == "stock"

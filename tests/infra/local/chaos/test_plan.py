"""The same seed, the same plan."""

from __future__ import annotations

from collections import Counter

import pytest

from infra.local.chaos.plan import Victim, plan


def test_a_seed_gives_the_same_kills_and_the_same_load_every_time() -> None:
    assert plan(seed=4, kills=50) == plan(seed=4, kills=50)
    assert plan(seed=4, kills=50).kills != plan(seed=5, kills=50).kills
    assert plan(seed=4, kills=50).wishes != plan(seed=5, kills=50).wishes


@pytest.mark.parametrize("kills", [0, 1, 9, 200])
def test_a_plan_has_as_many_kills_as_were_asked_for(kills: int) -> None:
    assert len(plan(seed=1, kills=kills).kills) == kills


def test_every_kind_of_victim_is_among_nine() -> None:
    assert {kill.victim for kill in plan(seed=1, kills=9).kills} == set(Victim)


def test_the_load_is_of_every_fate_and_its_runs_are_all_different() -> None:
    wishes = plan(seed=1, kills=100).wishes
    assert len({wish.run_id for wish in wishes}) == len(wishes)
    assert len(Counter(wish.task for wish in wishes)) == 5
    assert {wish.is_direct for wish in wishes} == {True, False}

"""Candidates come once each, and taking them ends, whatever the read model goes on suggesting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tasks.catalog.candidates import in_batches


def suggesting(names: Sequence[str]) -> Callable[[int], Sequence[str]]:
    """A read model that never hears of what is done."""
    return lambda limit: names[:limit]


@pytest.mark.parametrize("count", [0, 1, 2, 19, 20, 21, 99])
def test_every_candidate_comes_once_though_it_is_suggested_again(count: int) -> None:
    names = [f"{number:02}" for number in range(count)]
    batches = list(in_batches(suggesting(names), key=str, size=2))
    assert [name for batch in batches for name in batch] == names
    assert all(len(batch) <= 2 for batch in batches)


def test_candidates_that_appear_meanwhile_are_taken_too() -> None:
    known = [f"{number:02}" for number in range(20)]
    taken: list[str] = []

    def look(limit: int) -> list[str]:
        return known[:limit]

    for batch in in_batches(look, key=str, size=2):
        taken += batch
        if len(taken) == 20:
            known.append("late")
    assert taken[-1] == "late"

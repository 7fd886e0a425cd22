"""Candidates: what a read model suggests, taken in batches until it suggests nothing new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

BATCHES_PER_LOOK: Final = 10
"""A look costs a scan of the read model, so it asks for more than one batch."""

Candidate = TypeVar("Candidate")


def in_batches(
    look: Callable[[int], Sequence[Candidate]], *, key: Callable[[Candidate], str], size: int
) -> Iterator[list[Candidate]]:
    """Every candidate once, in batches.

    The read model hears of what has been done about a candidate a moment later, or never where doing it failed: a
    candidate that is suggested again is passed over, and each look asks for so many more. So this comes to an end,
    and no number of hopeless candidates keeps the others from being seen.

    Args:
        look: the first so many candidates, as the read model has them now.
        key: what names a candidate.
        size: of a batch.
    """
    seen: set[str] = set()
    while fresh := [each for each in look(size * BATCHES_PER_LOOK + len(seen)) if key(each) not in seen]:
        seen.update(map(key, fresh))
        for start in range(0, len(fresh), size):
            yield fresh[start : start + size]

"""What a replay would do: counted, sampled, and without keeping every letter in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from tasks.dead_letters.batch import Planned
from tasks.dead_letters.edit import Edit
from tasks.dead_letters.letter import Letter, UnreplayableError
from tasks.dead_letters.replay import plan

SAMPLES: Final = 5


class Survey(NamedTuple):
    """A look at the letters that are meant.

    Attributes:
        run_ids: all of them, in order.
        replayable: how many of them would be replayed.
        groups: the same by task and error.
        samples: the first few, with what would be asked for.
        left: the others, each with why.
    """

    run_ids: list[str]
    replayable: int
    groups: Counter[tuple[str, str]]
    samples: list[tuple[Letter, Planned]]
    left: dict[str, str]


def survey(letters: Iterable[Letter], edit: Edit, *, is_again: bool) -> Survey:
    """Look at each letter, and write nothing."""
    run_ids: list[str] = []
    groups: Counter[tuple[str, str]] = Counter()
    samples: list[tuple[Letter, Planned]] = []
    left: dict[str, str] = {}
    for letter in letters:
        run_ids.append(letter.run_id)
        try:
            planned = plan(letter, edit, is_again=is_again)
        except UnreplayableError as error:
            left[letter.run_id] = str(error)
            continue
        groups[letter.task, _error(letter)] += 1
        if len(samples) < SAMPLES:
            samples.append((letter, planned))
    return Survey(run_ids, groups.total(), groups, samples, left)


def _error(letter: Letter) -> str:
    return letter.end.error_type if letter.end else letter.died.reason

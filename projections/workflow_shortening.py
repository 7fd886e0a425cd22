"""Many like members of a workflow in few lines: the first, what is not well, and how many more there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec

from projections.workflow_tree import Node, state_of

WHOLE: Final = 8
"""So few are all shown."""
FIRST: Final = 3
"""Of more, so many of each state are shown."""
BAD: Final = 20
"""So many of each state that is an end, and not success."""
_ENDED_BADLY: Final = frozenset({"failed", "timed_out", "lost", "rejected", "revoked", "expired", "dead_lettered"})


def shortened(nodes: Sequence[Node]) -> list[Node]:
    """The same tree with fewer lines; what a line stands for instead has no step, and says how many in which state."""
    return [msgspec.structs.replace(node, beneath=shortened(node.beneath)) for node in _short(nodes)]


def _short(nodes: Sequence[Node]) -> list[Node]:
    units = [list(unit) for _, unit in groupby(nodes, key=_unit)]
    if len(units) <= WHOLE:
        return list(nodes)
    shown: list[Node] = []
    seen: Counter[str] = Counter()
    left: Counter[str] = Counter()
    last = [units.pop()] if units[-1][0].label == "body" else []
    for unit in units:
        state = state_of(unit)
        seen[state] += 1
        if _is_link(unit[0]) or seen[state] <= (BAD if state in _ENDED_BADLY else FIRST):
            shown += unit
        else:
            left[state] += 1
    more = [Node(states=dict(left.most_common()))] if left else []
    return [*shown, *more, *(node for unit in last for node in unit)]


def _unit(node: Node) -> object:
    """The links of a member belong together."""
    number, dot, _ = node.label.partition(".")
    return number if dot or node.label == "body" else id(node)


def _is_link(node: Node) -> bool:
    """Links of a chain are all shown: each is another task."""
    return node.step is not None and node.step["role"] == "link"

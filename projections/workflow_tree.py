"""A workflow as a person reads it: the links of a chain in order; under a group its members, and a chord's body.

Pure: rows of ``analytics.fct_workflow_steps`` in, nodes out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

Row = Mapping[str, Any]
_LATE: Final = datetime.max.replace(tzinfo=UTC)
_GOOD: Final = frozenset({"succeeded"})
DEEPEST: Final = 12
"""So deep runs stand under those that sent them; further ones, as of a task that asks for itself again, beside them."""


class Node(msgspec.Struct, kw_only=True):
    """A line of the tree, and what is beneath it.

    Attributes:
        label: its number; ``body``; empty for a run that nobody planned.
        step: its row; None: it is a group, or stands for several that are left out.
        group_id: of a group or chord.
        has_body: whether it is a chord.
        wanted: of a chord how many members have to succeed; None: all.
        states: of a group how many members are in which state; of what stands for several, those.
        beneath: in order.
    """

    label: str = ""
    step: Row | None = None
    group_id: str | None = None
    has_body: bool = False
    wanted: int | None = None
    states: dict[str, int] = {}
    beneath: list[Node] = []

    @property
    def state(self) -> str:
        """That of its step; of a chord that of its body, of another group the first that is not well."""
        if self.step is not None:
            return str(self.step["state"])
        if self.has_body and self.beneath:
            return self.beneath[-1].state
        return next((state for state in self.states if state not in _GOOD), "succeeded")


def tree_of(steps: Iterable[Row]) -> list[Node]:
    """All steps of a workflow, each once.

    Args:
        steps: in the order in which they were accepted.
    """
    return _Grower(steps).grow()


def lines(nodes: Sequence[Node], depth: int = 0) -> Iterator[tuple[int, Node]]:
    """All nodes in order of reading, each with its depth."""
    for node in nodes:
        yield depth, node
        yield from lines(node.beneath, depth + 1)


class _Grower:
    """Puts each step and each group to where it belongs.

    A member is shown with its group, a body with the members that it waits for, a link with its chain; a chain, a group
    or a run that nobody planned under the run that sent it.
    """

    def __init__(self, steps: Iterable[Row]) -> None:
        self._steps: dict[str, Row] = {step["run_id"]: step for step in steps}
        self._members: dict[str, list[Row]] = defaultdict(list)
        self._bodies: dict[str, list[Row]] = defaultdict(list)
        for step in self._steps.values():
            if step["group_id"] is not None:
                self._members[step["group_id"]].append(step)
            if step["body_of"] is not None:
                self._bodies[step["body_of"]].append(step)
        for body in self._bodies.values():
            body.sort(key=lambda step: step["body_number"])
        self._homes = _homes(self._steps)
        self._under: dict[str, list[tuple[Any, Node]]] = defaultdict(list)
        self._grown: set[str] = set()

    def grow(self) -> list[Node]:
        """The nodes at the top."""
        groups = list(dict.fromkeys([*self._bodies, *self._members]))
        for group_id in sorted(groups, key=self._is_within_member):
            if group_id not in self._grown and not self._is_within_member(group_id):
                self._put_group(group_id)
        for step in self._steps.values():
            if step["run_id"] not in self._grown and step["group_id"] is None:
                self._put(step, self._node(step, str(step["chain_step"] or "")))
        for group_id in groups:  # whose bodies are each other's members: whoever made that up, they are shown
            if group_id not in self._grown:
                self._put_group(group_id)
        nodes = self._taken("")
        while self._under:
            nodes += self._taken(next(iter(self._under)))
        return nodes

    def _is_within_member(self, group_id: str) -> bool:
        first = next(iter(self._bodies.get(group_id, ())), None)
        return first is not None and first["group_id"] not in {None, group_id}

    def _put_group(self, group_id: str) -> None:
        steps = [*self._bodies.get(group_id, ()), *self._members.get(group_id, ())]
        earliest = min(steps, key=lambda each: each["accepted_at"] or _LATE)
        anchor = next((each for each in steps if self._is_link(each)), earliest)
        label = str(anchor["chain_step"]) if self._is_link(anchor) else ""
        self._put(anchor, self._group(group_id, label))

    def _group(self, group_id: str, label: str) -> Node:
        """A group with its members; a chord with the body, too, but for what is a later link of a chain."""
        self._grown.add(group_id)
        body = self._bodies.get(group_id, [])
        node = Node(label=label, group_id=group_id, has_body=bool(body))
        node.wanted = body[0]["wanted_count"] if body else None
        units: dict[int, list[Node]] = defaultdict(list)
        members = self._members.get(group_id, [])
        for step in sorted(members, key=lambda each: (each["member_number"], each["link_number"])):
            units[step["member_number"]].append(self._node(step, f"{step['member_number']}.{step['link_number']}"))
        for number, unit in units.items():
            if len(unit) == 1:
                unit[0].label = str(number)
        node.states = dict(Counter(map(state_of, units.values())).most_common())
        node.beneath = [each for unit in units.values() for each in unit]
        within = [each for each in body if each is body[0] or not self._is_link(each)]
        node.beneath += [Node(label="body", step=step) for step in within if self._is_new(step)]
        return node

    def _node(self, step: Row, label: str) -> Node:
        """A step; one that is a chord's body as the chord, which is shown once."""
        of = step["body_of"]
        if of is not None and of not in self._grown and step is self._bodies[of][0]:
            return self._group(of, label)
        self._grown.add(step["run_id"])
        return Node(label=label, step=step)

    def _is_new(self, step: Row) -> bool:
        is_new = step["run_id"] not in self._grown
        self._grown.add(step["run_id"])
        return is_new

    def _is_link(self, step: Row) -> bool:
        """Whether it is a step of a chain that begins with no member and no body."""
        first = self._steps.get(step["chain_id"] or "")
        return step["chain_id"] is not None and (first is None or (first["body_of"] is first["group_id"] is None))

    def _put(self, step: Row, node: Node) -> None:
        first = self._steps.get(step["chain_id"] or "", step) if self._is_link(step) else step
        home = self._homes[first["run_id"]]
        number = step["chain_step"] if self._is_link(step) else 0
        order = (first["accepted_at"] or _LATE, first["run_id"], number)
        self._under[home].append((order, node))

    def _taken(self, home: str) -> list[Node]:
        """What belongs there, with all that is beneath it."""
        nodes = [node for _, node in sorted(self._under.pop(home, ()), key=lambda pair: pair[0])]
        for _, node in list(lines(nodes)):
            if node.step is not None and node.step["run_id"] in self._under:
                node.beneath = [*node.beneath, *self._taken(node.step["run_id"])]
        return nodes


def _homes(steps: Mapping[str, Row]) -> dict[str, str]:
    """Under which run each stands: the one that sent it, if that was accepted before it; empty: under none."""
    homes: dict[str, str] = {}
    depths: dict[str, int] = {"": 0}
    for run_id, step in steps.items():
        parent = step["parent_run_id"] if step["parent_run_id"] in homes else ""
        homes[run_id] = homes[parent] if depths[parent] == DEEPEST else parent
        depths[run_id] = depths[homes[run_id]] + 1
    return homes


def state_of(unit: Sequence[Node]) -> str:
    """Of a member's links: the first that is not well, or else the last."""
    return next((node.state for node in unit if node.state not in _GOOD), unit[-1].state)

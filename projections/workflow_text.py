"""A workflow in words: what it is, and its tree with a line for each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from infra.events.showing import clock
from projections.presentation import duration
from projections.workflow_list import Workflow
from projections.workflow_shortening import shortened
from projections.workflow_tree import Node, lines, tree_of

ERROR_CHARACTERS: Final = 100
_INDENT: Final = "  "
_COLUMNS: Final = 5
"""Of a line those that are aligned: what it is, its state, when it began, how long it took, its run."""


def tell(workflow: Workflow) -> str:
    """Several lines."""
    return "\n".join([*_head(workflow), "", *_aligned(list(_tree(workflow)))])


def counted(states: Mapping[str, int]) -> str:
    """``17 succeeded, 2 failed``."""
    return ", ".join(f"{count:,} {state}" for state, count in states.items())


def group_said(node: Node) -> str:
    """What a group is, and what became of its members: ``chord of 20, any 3 wanted: 18 succeeded, 2 failed``."""
    size = sum(node.states.values())
    wanted = "" if node.wanted is None else f", {node.wanted:,} wanted"
    told = f": {counted(node.states)}" if node.states else ""
    return f"{'chord' if node.has_body else 'group'} of {size:,}{wanted}{told}"


def more_said(node: Node) -> str:
    """What a line stands for in the place of several: ``… 17 more succeeded``."""
    return "… " + ", ".join(f"{count:,} more {state}" for state, count in node.states.items())


def wait_said(wait: Mapping[str, Any]) -> str:
    """What a run waits, or waited, for."""
    until = f" until {clock(wait['wait_until'])}" if wait["wait_until"] else ""
    match = f" with {wait['matching']}" if wait["matching"] else ""
    what = f" for {wait['waits_for']}{match}" if wait["waits_for"] else ""
    if wait["state"] == "open":
        return f"waits{what}{until}"
    return f"waited{what} for {duration(wait['seconds'])}: {wait['state']}"


def steps_said(row: Mapping[str, Any]) -> str:
    """``5 steps: 3 ended, 1 of them badly; 1 not reached``."""
    bad = f", {row['failed_count']:,} of them badly" if row["failed_count"] else ""
    behind = f"; {row['not_reached_count']:,} not reached" if row["not_reached_count"] else ""
    count = row["step_count"]
    return f"{count:,} step{'' if count == 1 else 's'}: {row['ended_count']:,} ended{bad}{behind}"


def error_said(step: Mapping[str, Any]) -> str:
    """An error in one line; empty where there is none."""
    if not step["error_type"]:
        return ""
    text = " ".join(f"{step['error_type']}: {step['error'] or ''}".split()).removesuffix(":")
    return text if len(text) <= ERROR_CHARACTERS else f"{text[: ERROR_CHARACTERS - 1]}…"


def _head(workflow: Workflow) -> Iterator[str]:
    row = workflow.row
    yield f"workflow {row['workflow_id']}"
    yield f"  {row['kind']}, {row['state']}"
    executed = "" if row["executed_seconds"] is None else f", {duration(row['executed_seconds'])} of execution"
    so_far = "" if row["is_ended"] else " so far"
    yield f"  began {clock(row['began_at'])}, took {duration(row['total_seconds'])}{so_far}{executed}"
    yield f"  {steps_said(row)}"
    if row["license_id"]:
        yield f"  license {row['license_id']}"
    if row["forked_from"]:
        yield f"  forked from {workflow.forked_from or row['forked_from']} at step {row['forked_from_step']}"
    if taken := workflow.revocation:
        yield f"  taken back by {taken['requested_by']}, {clock(taken['requested_at'])}: {taken['reason']}"
    for fork in workflow.forks:
        yield f"  forked at step {fork['step']} as {fork['workflow_id']}, {clock(fork['began_at'])}"


def _tree(workflow: Workflow) -> Iterator[tuple[str, ...]]:
    """The cells of each line."""
    began: datetime = workflow.row["began_at"]
    waits: dict[str, list[dict[str, Any]]] = {}
    for wait in workflow.waits:
        waits.setdefault(wait["run_id"], []).append(wait)
    nodes = shortened(tree_of(workflow.steps))
    widths: Counter[int] = Counter()
    for depth, node in lines(nodes):
        widths[depth] = max(widths[depth], len(node.label) + len(_INDENT) if node.label else 0)
    for depth, node in lines(nodes):
        label = f"{_INDENT * (depth + 1)}{node.label:<{widths[depth]}}"
        if node.step is None:
            yield (label + (group_said(node) if node.group_id else more_said(node)),)
            continue
        yield (label + (node.step["task"] or "-"), *_told(node.step, began))
        for wait in waits.get(node.step["run_id"], ()):
            yield (f"{' ' * len(label)}{_INDENT}{wait_said(wait)}",)


def _told(step: Mapping[str, Any], began: datetime) -> tuple[str, ...]:
    accepted = step["accepted_at"]
    after = "" if accepted is None else f"+{duration((accepted - began).total_seconds())}"
    took = "" if accepted is None else duration(step["total_seconds"])
    attempts = f"{step['attempt_count']} attempts" if (step["attempt_count"] or 0) > 1 else ""
    replayed = "replayed" if step["is_replayed"] else ""
    rest = "  ".join(filter(None, (attempts, replayed, error_said(step))))
    return (step["state"], after, took, step["run_id"], rest)


def _aligned(cells: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as what is in them; a line of one cell goes on over all of them."""
    full = [line for line in cells if len(line) > 1]
    widths = [max((len(line[number]) for line in full), default=0) for number in range(_COLUMNS)]
    for line in cells:
        padded = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)] if len(line) > 1 else []
        yield "  ".join([*padded, *line[len(padded) :]]).rstrip()

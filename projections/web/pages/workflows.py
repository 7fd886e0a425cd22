"""Workflows: a list, a page at a time, the latest first; and one as a tree."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec

from infra.logs.redaction import Redactor
from infra.web.page import Drawn, Visit
from infra.web.problem import Problem
from projections.web.cursor import Cursor
from projections.web.pages import asked
from projections.workflow_list import KINDS, STATES, Workflow, WorkflowFilter, story_of, workflow, workflows
from projections.workflow_shortening import shortened
from projections.workflow_text import error_said, group_said, more_said, steps_said, wait_said
from projections.workflow_tree import lines, tree_of

ROWS: Final = 50
DEEPEST: Final = 6
"""So many depths are told apart by how far a line is indented."""
FILTERS: Final = ("state", "kind", "task", "since", "until")


def show(visit: Visit) -> Drawn:
    """The list; every filter is in the URL.

    Raises:
        Problem: a filter is none, or it takes too long.
    """
    query = visit.query
    given = {name: asked.text(query, name) or "" for name in FILTERS}
    after = asked.text(query, "after")
    cursor = None if after is None else Cursor.read(after)
    which = WorkflowFilter(
        state=asked.chosen(query, "state", STATES),
        kind=asked.chosen(query, "kind", KINDS),
        task=asked.text(query, "task"),
        since=asked.moment(query, "since"),
        until=asked.moment(query, "until"),
        after=None if cursor is None else (cursor.at, cursor.key),
    )
    with visit.desk.reading() as connection:
        rows = workflows(partial(asked.ask, connection), which, limit=ROWS + 1)
    last = rows[ROWS - 1] if len(rows) > ROWS else None
    following = Cursor(last["began_at"], last["workflow_id"]).text if last else None
    choices = {"states": STATES, "kinds": KINDS}
    return Drawn("workflows.html", {"given": given, "rows": rows[:ROWS], "after": following, **choices})


def show_one(visit: Visit) -> Drawn:
    """One, by its story or by any of its runs.

    Raises:
        Problem: there is none.
    """
    named = visit.path["workflow_id"]
    with visit.desk.reading() as connection:
        ask = partial(asked.ask, connection)
        story = story_of(ask, named)
        found = None if story is None else workflow(ask, story)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"the read models know no workflow {named}")
    told = {"lines": _lines(_hidden(found, visit.desk.redact)), "said": steps_said(found.row)}
    return Drawn("workflow.html", {**msgspec.structs.asdict(found), **told})


def _hidden(found: Workflow, redact: Redactor) -> Workflow:
    """The same without secrets in what tasks bring along; before texts are cut, for a part of one is not recognized."""
    steps = [step if step["error"] is None else {**step, "error": redact(step["error"])} for step in found.steps]
    waits = [{**wait, "matching": wait["matching"] and redact(wait["matching"])} for wait in found.waits]
    return msgspec.structs.replace(found, steps=steps, waits=waits)


def _lines(found: Workflow) -> list[dict[str, Any]]:
    waits: dict[str, list[str]] = {}
    for wait in found.waits:
        waits.setdefault(wait["run_id"], []).append(wait_said(wait))
    told = []
    for depth, node in lines(shortened(tree_of(found.steps))):
        step, said = node.step, group_said(node) if node.group_id else more_said(node)
        told.append(
            {
                "indent": min(depth, DEEPEST),
                "label": node.label,
                "step": step,
                "said": "" if step is not None else said,
                "after": _after(found, step),
                "error": "" if step is None else error_said(step),
                "waits": [] if step is None else waits.get(step["run_id"], []),
            }
        )
    return told


def _after(found: Workflow, step: Any) -> float | None:
    accepted = None if step is None else step["accepted_at"]
    return None if accepted is None else (accepted - found.row["began_at"]).total_seconds()

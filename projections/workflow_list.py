"""Questions about workflows: plain SQL; who asks brings the means to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from domain.story import StoryRevocationRequested, story_stream

Rows = list[dict[str, Any]]
Ask = Callable[[str | sql.Composed, Mapping[str, Any]], Rows]
"""Rows of a statement, by column."""
STATES: Final = ("running", "waiting", "succeeded", "failed", "revoked")
KINDS: Final = ("chain", "chord", "group", "mixed", "runs")
MOST_STEPS: Final = 20_000
"""So many steps of one workflow are read; ``step_count`` says how many there are."""
_BAD: Final = frozenset({"failed", "revoked"})


class WorkflowFilter(NamedTuple):
    """Which workflows are meant; what is None does not matter.

    Attributes:
        state: one of ``STATES``.
        task: the task that began first.
        kind: one of ``KINDS``.
        since: began then or later.
        until: began before then.
        after: as the last of the page before it: when it began, and its id.
    """

    state: str | None = None
    task: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow, whole.

    Attributes:
        row: of ``analytics.fct_workflows``.
        steps: of ``analytics.fct_workflow_steps``, in the order in which they were accepted; ``MOST_STEPS`` at most.
        waits: of ``analytics.fct_waits``, those of its runs.
        forks: workflows that were forked from it: ``workflow_id``, ``step``, ``began_at``.
        forked_from: the workflow that it was forked from, if it was and is known.
        revocation: that somebody took the story back: ``requested_at``, ``requested_by``, ``reason``.
    """

    row: dict[str, Any]
    steps: Rows
    waits: Rows
    forks: Rows
    forked_from: str | None
    revocation: dict[str, Any] | None


def asking(connection: psycopg.Connection[Any]) -> Ask:
    """Asks on a connection."""

    def ask(statement: str | sql.Composed, values: Mapping[str, Any]) -> Rows:
        with connection.cursor(row_factory=dict_row) as cursor:
            told = statement.encode() if isinstance(statement, str) else statement
            return cursor.execute(told, values, prepare=False).fetchall()  # planned for these values

    return ask


def workflows(ask: Ask, which: WorkflowFilter, *, limit: int) -> Rows:
    """Rows of ``analytics.fct_workflows``, those that began last first; at most ``limit``."""
    wanted = ["true"]
    wanted += [f"{name} = %({column})s" for name, column in _EQUAL.items() if getattr(which, column) is not None]
    wanted += ["began_at >= %(since)s"] if which.since else []
    wanted += ["began_at < %(until)s"] if which.until else []
    wanted += ["(began_at, workflow_id) < (%(after_at)s, %(after_id)s)"] if which.after else []
    wanted += [_HAS_BAD_END] if which.state in _BAD else []
    statement = sql.SQL(
        "select * from analytics.fct_workflows flow where {} order by began_at desc, workflow_id desc limit {}"
    ).format(sql.SQL(" and ").join(map(sql.SQL, wanted)), limit)
    after_at, after_id = which.after or (None, None)
    return ask(statement, {**which._asdict(), "after_at": after_at, "after_id": after_id})


def story_of(ask: Ask, named: str) -> str | None:
    """The story that is called so, or that has a run, a planned run or a fan-in of this id; None: nothing is known."""
    found = ask(_STORY, {"id": named})
    return found[0]["workflow_id"] if found else None


def workflow(ask: Ask, workflow_id: str) -> Workflow | None:
    """A workflow by the id of its story; None where the story is none: it has one run, and no plan."""
    asked = {"id": workflow_id}
    found = ask("select * from analytics.fct_workflows where workflow_id = %(id)s", asked)
    if not found:
        return None
    steps = ask(_STEPS, {**asked, "most": MOST_STEPS})
    runs = [step["run_id"] for step in steps]
    # A fork names what it was forked from by the first run of the chain, or by the fan-in.
    origins = {step[name] for step in steps for name in ("chain_id", "body_of") if step[name] is not None}
    origin = found[0]["forked_from"]
    return Workflow(
        row=found[0],
        steps=steps,
        waits=ask(_WAITS, {"runs": runs}),
        forks=ask(_FORKS, {"origins": sorted(origins)}),
        forked_from=None if origin is None else _origin(ask, origin),
        revocation=next(iter(ask(_REVOCATION, {"stream": story_stream(workflow_id)})), None),
    )


def _origin(ask: Ask, forked_from: str) -> str | None:
    found = ask(_ORIGIN, {"id": forked_from})
    return found[0]["workflow_id"] if found else None


_EQUAL: Final = {"state": "state", "first_task": "task", "kind": "kind"}
_HAS_BAD_END: Final = """exists (
    select from read_model.workflows bad where bad.workflow_id = flow.workflow_id and bad.has_bad_end)"""
_STORY: Final = """
    select workflow_id from read_model.workflows where workflow_id = %(id)s and is_workflow
    union all
    select workflow_id from read_model.workflow_steps where run_id = %(id)s
    union all
    select correlation_id from read_model.task_runs where run_id = %(id)s and correlation_id is not null
    union all
    select metadata ->> 'correlation_id' from event_store.task_events where stream_id = 'fan_in-' || %(id)s
    limit 1
"""
_STEPS: Final = """
    select *
    from analytics.fct_workflow_steps
    where workflow_id = %(id)s
    order by accepted_at nulls last, chain_step, group_id, member_number, link_number, body_number, run_id
    limit %(most)s
"""
_WAITS: Final = """
    select run_id, attempt, waits_for, matching, began_at, wait_until, state, ended_at, seconds
    from analytics.fct_waits
    where run_id = any(%(runs)s)
    order by began_at, run_id
"""
_REVOCATION: Final = f"""
    select occurred_at as requested_at, metadata ->> 'actor' as requested_by, data ->> 'reason' as reason
    from event_store.task_events
    where stream_id = %(stream)s and name = '{StoryRevocationRequested.TOPIC}'
"""  # noqa: S608  our own name
_FORKS: Final = """
    select workflow_id, forked_step as step, began_at
    from read_model.workflows
    where forked_from = any(%(origins)s)
    order by began_at, workflow_id
"""
_ORIGIN: Final = """
    select workflow_id from read_model.workflow_steps where run_id = %(id)s
    union all
    select metadata ->> 'correlation_id' from event_store.task_events where stream_id = 'fan_in-' || %(id)s
    limit 1
"""

"""The list of tasks: a page at a time, the latest first; every filter is in the URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from domain.run import RunState
from domain.tier import Tier
from infra.web.page import Drawn, Visit
from projections.letters import contains
from projections.web.cursor import Cursor
from projections.web.pages import asked
from projections.web.run_states import GROUPS, IMPLIED

ROWS: Final = 50
COUNTED: Final = 1_000
"""So many are counted; of more, the planner's estimate is shown."""
STATES: Final = tuple(state.value for state in RunState)
TIERS: Final = tuple(tier.value for tier in Tier)
FILTERS: Final = ("state", "task", "tier", "license", "correlation", "text", "since", "until")
TEXT_HOURS: Final = 24
"""So far back a text is looked for where nobody says since when: every error has to be read."""
OF_STORY: Final = """run_id = any(array(
    select distinct replace(stream_id, 'task_run-', '')
    from event_store.task_events
    where metadata ->> 'correlation_id' = %(correlation_id)s
    limit 10000))
"""
"""The log has an index of correlation ids; one of the read model's own would cost every run."""
_COLUMNS: Final = (
    "run_id, task, tier, priority, state, accepted_at, ended_at, attempts, wait_seconds, run_seconds, error_type,"
    " error, license_id"
)
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Listing(NamedTuple):
    """A page of runs.

    Attributes:
        rows: the runs.
        after: where the following ones begin; None: there are none.
        total: how many there are on all pages; None: not counted, for this is not the first page.
        is_reckoned: the total is the planner's estimate.
    """

    rows: asked.Rows
    after: str | None
    total: int | None
    is_reckoned: bool


def show(visit: Visit) -> Drawn:
    """The page."""
    given = {name: asked.text(visit.query, name) or "" for name in FILTERS}
    with visit.desk.reading() as connection:
        found = listing(connection, visit.query)
    return Drawn("runs.html", {"given": given, "found": found, "states": (*GROUPS, *STATES), "tiers": TIERS})


def listing(connection: psycopg.Connection[Any], query: Mapping[str, str]) -> Listing:
    """A page of runs.

    Args:
        connection: in autocommit.
        query: filters and place, as in the URL.

    Raises:
        Problem: a filter is none, or it takes too long.
    """
    where, values = condition(query)
    limits = sql.SQL("order by accepted_at desc, run_id desc limit {}").format(ROWS + 1)
    statement = sql.SQL("select {} from read_model.task_runs where {} {}")
    rows = asked.ask(connection, statement.format(sql.SQL(_COLUMNS), where, limits), values)
    last = rows[ROWS - 1] if len(rows) > ROWS else None
    after = Cursor(last["accepted_at"], last["run_id"]).text if last else None
    if "after" in query:
        return Listing(rows[:ROWS], after, None, is_reckoned=False)
    total, is_reckoned = _counted(connection, where, values) if last else (len(rows), False)
    return Listing(rows[:ROWS], after, total, is_reckoned)


def condition(query: Mapping[str, str]) -> tuple[sql.Composed, dict[str, Any]]:
    """What the filters come to, in SQL: only what is asked for is in it, so that the planner finds the index."""
    state = asked.chosen(query, "state", (*GROUPS, *STATES))
    values: dict[str, Any] = {
        "state": state,
        "task": asked.text(query, "task"),
        "tier": asked.chosen(query, "tier", TIERS),
        "license_id": asked.text(query, "license"),
        "correlation_id": asked.text(query, "correlation"),
        "since": asked.moment(query, "since"),
        "until": asked.moment(query, "until"),
    }
    wanted = ["true", *_of_state(state)]
    wanted += [f"{name} = %({name})s" for name in ("task", "tier", "license_id") if values[name]]
    wanted += [OF_STORY] if values["correlation_id"] else []
    wanted += ["accepted_at >= %(since)s"] if values["since"] else []
    wanted += ["accepted_at < %(until)s"] if values["until"] else []
    if text := asked.text(query, "text"):
        # Errors are looked for among the runs that ended badly, which have an index of their own.
        in_error = f"{GROUPS['bad']} and (error_type ilike %(part)s or error ilike %(part)s)"
        wanted.append("run_id = %(text)s" if _ID.fullmatch(text) else in_error)
        if not (_ID.fullmatch(text) or values["since"]):
            wanted.append(f"accepted_at >= now() - interval '{TEXT_HOURS} h'")
        values |= {"text": text.lower(), "part": contains(text)}
    if after := asked.text(query, "after"):
        cursor = Cursor.read(after)
        wanted.append("(accepted_at, run_id) < (%(at)s, %(key)s)")
        values |= {"at": cursor.at, "key": cursor.key}
    return sql.SQL(" and ").join([sql.SQL(each) for each in wanted]), values


def _of_state(state: str | None) -> list[str]:
    if state is None:
        return []
    if state in GROUPS:
        return [GROUPS[state]]
    return ["state = %(state)s", *([IMPLIED[state]] if state in IMPLIED else [])]


def _counted(connection: psycopg.Connection[Any], where: sql.Composed, values: Mapping[str, Any]) -> tuple[int, bool]:
    """How many there are, and whether that is what the planner reckons: beyond a thousand nobody counts."""
    few = sql.SQL("select count(*) as runs from (select from read_model.task_runs where {} limit {}) as counted")
    [row] = asked.ask(connection, few.format(where, COUNTED + 1), values)
    if row["runs"] <= COUNTED:
        return row["runs"], False
    statement = sql.SQL("explain (format json) select from read_model.task_runs where {}").format(where)
    [plan] = asked.ask(connection, statement, values)
    return max(int(plan["QUERY PLAN"][0]["Plan"]["Plan Rows"]), COUNTED), True

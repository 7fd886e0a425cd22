"""The dictionary of schema ``analytics``, written from the comments that the database itself holds."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import psycopg

_HEAD: Final = """# Analytics

The views of schema `analytics`: what analysts and auditors may rely on. `dim_` has one row per thing, `fct_` one per
fact, `rpt_` is a report, `usage_` a rollup and `meta_` says how fresh the rest is. The first sentence of a view is its
grain. Times are `timestamp with time zone`, durations are seconds, and ids are text.

How analysts log in, which view joins with which, and example queries: [analytics](../analytics.md).

The facts are made by projections a moment after the events (`meta_freshness` says how long a moment); the events
themselves are in schema `event_store` ([events](../events.md)).

Written by `ledgerq projection dictionary` from the comments in the database; a test compares.
"""

_FUNCTIONS: Final = """
    select p.proname as name,
           pg_get_function_arguments(p.oid) as arguments,
           pg_get_function_result(p.oid) as result,
           obj_description(p.oid, 'pg_proc') as about
    from pg_proc p
    where p.pronamespace = 'analytics'::regnamespace and p.proretset
    order by p.proname
"""
_JOINS: Final = "select view_name, column_name, joined_view_name, joined_column_name from analytics.meta_joins"
_KEYS: Final = {
    "policy_key": "dim_policies",
    "license_id": "dim_licenses",
    "session_id": "fct_sessions",
    "run_id": "fct_task_runs",
    "replay_id": "fct_replays",
    "schedule": "dim_schedules",
    "workflow_id": "fct_workflows",
}
"""The view that has one row for each value of a column."""

_COLUMNS: Final = """
    select c.relname as view,
           obj_description(c.oid, 'pg_class') as about,
           a.attname as name,
           format_type(a.atttypid, a.atttypmod) as type,
           col_description(c.oid, a.attnum) as comment
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v' and a.attnum > 0 and not a.attisdropped
    order by array_position(array['dim', 'fct', 'usage', 'rpt', 'meta'], split_part(c.relname, '_', 1)),
             c.relname, a.attnum
"""


class Column(NamedTuple):
    """A column of a view, with the comments on both; a comment that is missing is None."""

    view: str
    about: str | None
    name: str
    type: str
    comment: str | None


class Join(NamedTuple):
    """That a column of a view has the values of a column of another one."""

    view: str
    column: str
    other: str
    other_column: str


class Function(NamedTuple):
    """A function that returns rows; a comment that is missing is None."""

    name: str
    arguments: str
    result: str
    about: str | None


def columns(connection: psycopg.Connection[Any]) -> list[Column]:
    """All columns of all views of schema ``analytics``, dimensions first."""
    with connection.cursor(row_factory=psycopg.rows.class_row(Column)) as cursor:
        return cursor.execute(_COLUMNS).fetchall()


def functions(connection: psycopg.Connection[Any]) -> list[Function]:
    """All functions of schema ``analytics`` that return rows, by name."""
    with connection.cursor(row_factory=psycopg.rows.class_row(Function)) as cursor:
        return cursor.execute(_FUNCTIONS).fetchall()


def joins(connection: psycopg.Connection[Any]) -> list[Join]:
    """Which views join with which, as their comments say."""
    return [Join(*row) for row in connection.execute(_JOINS).fetchall()]


def page(connection: psycopg.Connection[Any]) -> str:
    """The dictionary, Markdown."""
    parts = [_HEAD.rstrip()]
    for view, described in groupby(columns(connection), key=itemgetter(0)):
        rows = list(described)
        parts.append(f"\n## {view}\n\n{rows[0].about}\n\n| column | type | meaning |\n|---|---|---|")
        parts += [f"| `{row.name}` | {row.type} | {row.comment} |" for row in rows]
    for each in functions(connection):
        parts.append(f"\n## {each.name}({each.arguments})\n\n{each.about}\n\nReturns `{each.result}`.")
    return "\n".join(parts) + "\n"


def diagram(connection: psycopg.Connection[Any]) -> str:
    """The views and their joins as a Mermaid entity-relationship diagram; each pair of views once for a column."""
    lines = set()
    for join in joins(connection):
        one, many = (join.view, join.other) if _KEYS.get(join.column) == join.view else (join.other, join.view)
        named = join.column if join.column == join.other_column else f"{join.column} is {join.other_column}"
        lines.add(f'    {one} ||--o{{ {many} : "{named}"')
    return "\n".join(["erDiagram", *sorted(lines)]) + "\n"

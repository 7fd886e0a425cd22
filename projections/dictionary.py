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

The facts are made by projections a moment after the events (`meta_freshness` says how long a moment); the events
themselves are in schema `event_store` ([events](../events.md)).

Written by `ledgerq projection dictionary` from the comments in the database; a test compares.
"""

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


def columns(connection: psycopg.Connection[Any]) -> list[Column]:
    """All columns of all views of schema ``analytics``, dimensions first."""
    with connection.cursor(row_factory=psycopg.rows.class_row(Column)) as cursor:
        return cursor.execute(_COLUMNS).fetchall()


def page(connection: psycopg.Connection[Any]) -> str:
    """The dictionary, Markdown."""
    parts = [_HEAD.rstrip()]
    for view, described in groupby(columns(connection), key=itemgetter(0)):
        rows = list(described)
        parts.append(f"\n## {view}\n\n{rows[0].about}\n\n| column | type | meaning |\n|---|---|---|")
        parts += [f"| `{row.name}` | {row.type} | {row.comment} |" for row in rows]
    return "\n".join(parts) + "\n"

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from projections.catalog import PROJECTIONS
from projections.dictionary import columns, diagram, functions, joins, page

Connection = psycopg.Connection[tuple[object, ...]]
DOCS = Path(__file__).parents[2] / "docs"
PREFIXES = ("dim_", "fct_", "rpt_", "usage_", "meta_")
COUNTED = {"count", "runs", "messages", "events", "sessions", "seat", "seats", "permits", "concurrency"}
RANKS = {"version", "attempt", "position", "step", "priority", "generation", "number", "code", "pid"}
"""Numbers that are no quantity, so they have no unit."""


def test_every_view_says_its_grain_and_every_column_its_meaning(asking: Connection) -> None:
    found = columns(asking)
    assert len(found) > 100
    assert [column for column in found if not column.comment or not column.comment.endswith(".")] == []
    assert [column.view for column in found if not (column.about or "").startswith("One row")] == []


def test_names_keep_to_the_convention(asking: Connection) -> None:
    for view, _, name, type_, _ in columns(asking):
        assert view.startswith(PREFIXES), view
        assert name.endswith(("_at", "_until")) == (type_ == "timestamp with time zone"), f"{view}.{name}: {type_}"
        assert name.startswith(("is_", "has_")) == (type_ == "boolean"), f"{view}.{name}: {type_}"
        assert not type_.startswith(("json", "ARRAY", "tstzrange")), f"{view}.{name}: {type_}"


def test_a_number_names_its_unit(asking: Connection) -> None:
    for view, _, name, type_, _ in columns(asking):
        words = set(name.split("_"))
        if type_ in {"double precision", "real"} or type_.startswith("numeric"):
            assert "seconds" in words or name == "per_second", f"{view}.{name}"
        elif type_ in {"smallint", "integer", "bigint"}:
            assert words & (COUNTED | RANKS | {"seconds"}), f"{view}.{name}"
        else:
            assert type_ != "interval", f"{view}.{name}"


def test_the_page_says_what_the_database_says(asking: Connection) -> None:
    path = DOCS / "reference" / "analytics.md"
    assert path.read_text() == page(asking), "write it anew while ./dev run is up: ledgerq projection dictionary"


def test_the_diagram_shows_the_joins_that_the_comments_say(asking: Connection) -> None:
    told = (DOCS / "analytics.md").read_text()
    written = told.partition("```mermaid\n")[2].partition("```")[0]
    assert written == diagram(asking), "write it anew: ledgerq projection dictionary --diagram"


def test_every_join_that_a_comment_says_can_be_made(asking: Connection) -> None:
    found = joins(asking)
    assert len(found) > 12
    for view, column, other, other_column in found:
        join = f"analytics.{view} a join analytics.{other} b on a.{column} = b.{other_column}"
        asking.execute(f"select from {join} limit 1".encode())
    said = {view: about or "" for view, about, *_ in columns(asking)}
    joined = {view for view, *_ in found}
    assert {view for view, about in said.items() if "Join " in about} <= joined


def test_every_fact_that_names_a_thing_joins_with_the_thing(asking: Connection) -> None:
    """A column that is the key of a dimension or of a fact is a join, and nobody has to guess."""
    keys = {"license_id": "dim_licenses", "session_id": "fct_sessions", "run_id": "fct_task_runs"}
    found = {(view, column, other) for view, column, other, _ in joins(asking)}
    missing = [
        (each.view, each.name)
        for each in columns(asking)
        if each.name in keys
        and each.view != keys[each.name]
        and each.view.startswith(("fct_", "usage_", "dim_"))
        and (each.view, each.name, keys[each.name]) not in found
        and (keys[each.name], each.name, each.view) not in found
    ]
    assert missing == []


def test_every_function_that_returns_rows_says_its_meaning(asking: Connection) -> None:
    found = functions(asking)
    assert {"license_as_of", "session_as_of", "task_as_of"} <= {each.name for each in found}
    assert [each.name for each in found if not (each.about or "").endswith(".")] == []


def test_freshness_covers_every_projection_and_every_log_it_follows(asking: Connection) -> None:
    rows = asking.execute("select projection, log from analytics.meta_freshness").fetchall()
    expected = {(each.name, log.value) for each in PROJECTIONS.values() for log in each.follows}
    assert set(rows) == expected


def test_views_are_only_for_reading(asking: Connection) -> None:
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="cannot"):
        asking.execute("delete from analytics.fct_sessions")

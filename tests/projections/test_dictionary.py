from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from projections.catalog import PROJECTIONS
from projections.dictionary import columns, page

Connection = psycopg.Connection[tuple[object, ...]]
DOCS = Path(__file__).parents[2] / "docs"
PREFIXES = ("dim_", "fct_", "rpt_", "usage_", "meta_")


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


def test_the_page_says_what_the_database_says(asking: Connection) -> None:
    path = DOCS / "reference" / "analytics.md"
    assert path.read_text() == page(asking), "write it anew while ./dev run is up: ledgerq projection dictionary"


def test_freshness_covers_every_projection_and_every_log_it_follows(asking: Connection) -> None:
    rows = asking.execute("select projection, log from analytics.meta_freshness").fetchall()
    expected = {(each.name, log.value) for each in PROJECTIONS.values() for log in each.follows}
    assert set(rows) == expected


def test_views_are_only_for_reading(asking: Connection) -> None:
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="cannot"):
        asking.execute("delete from analytics.fct_sessions")

"""What differs between the live tables and a draft, for people and for programs."""

from __future__ import annotations

import click
from rich.console import Console

from projections import presentation
from projections.comparison import BUCKETS, Compared


def as_values(compared: Compared) -> dict[str, object]:
    """What came out of comparing a table, for programs."""
    shown = [
        {**row._asdict(), "columns": [dict(zip(("name", "live", "draft"), each, strict=True)) for each in row.columns]}
        for row in compared.shown
    ]
    return {**compared._asdict(), "shown": shown}


def print_compared(compared: list[Compared]) -> None:
    """What came out of comparing tables, for people: a line for each, and the rows that are to be shown."""
    summary = [
        {
            "table": each.table,
            "live_rows": each.live_rows,
            "draft_rows": each.draft_rows,
            "differing_buckets": f"{len(each.differing_buckets)} of {BUCKETS}",
            "differing_rows": each.differing_rows,
        }
        for each in compared
    ]
    presentation.print_answer(summary, Console())
    for row in (row for each in compared for row in each.shown):
        what = f"only in the {row.only_in}" if row.only_in else ""
        values = "; ".join(f"{name}: live {live}, draft {draft}" for name, live, draft in row.columns)
        click.echo(f"  {row.table} {' '.join(row.key)}: {what or values}")

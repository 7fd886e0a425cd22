"""The table: ratios beside the rates they are of."""

from __future__ import annotations

from infra.bench.table import Line, lines, rendered


def test_a_ratio_stands_beside_the_rates_it_is_of_and_they_have_no_line_of_their_own() -> None:
    figures = {"append_per_second": 50.0, "append_raw_per_second": 100.0, "append_vs_raw": 0.5, "wait_ms": 3.0}

    assert list(lines(figures)) == [Line("append_vs_raw", 0.5, 50.0, 100.0), Line("wait_ms", 3.0)]


def test_a_ratio_whose_rates_were_not_measured_stands_alone() -> None:
    assert list(lines({"task_vs_bare_celery": 1.1})) == [Line("task_vs_bare_celery", 1.1)]


def test_every_line_says_the_goal_where_there_is_one() -> None:
    head, line = rendered({"append_vs_raw": 0.5}, {"append_vs_raw": ">= 0.8"})

    assert head.split() == ["measurement", "figure", "ours/s", "beside", "it/s", "goal"]
    assert line.split() == ["append_vs_raw", "0.50", ">=", "0.8"]

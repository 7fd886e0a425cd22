from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from projections.presentation import as_lines, duration, encode, print_answer, print_report, verdict
from projections.questions import ENDS, SECTIONS
from projections.report import Conservation, Report
from tests.projections.histories import NOON

TASKS = next(question for question in SECTIONS if question.key == "tasks")
LETTERS = next(question for question in SECTIONS if question.key == "dead_letters")
ROW = {"tier": "high", "outcome": "succeeded", "runs": 1200, "wait_p50_seconds": 0.0421, "run_p50_seconds": None}


def report(*, open_runs: int = 0, disagreeing: int = 0) -> Report:
    ends = {**dict.fromkeys(ENDS, 0), "succeeded": 3}
    return Report(NOON, ((TASKS, [ROW]), (LETTERS, [])), Conservation(3 + open_runs, ends, open_runs, disagreeing))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 ms"), (0.0421, "42 ms"), (2.414, "2.41 s"), (300, "5.0 min"), (11_520, "3.2 h"), (388_800, "4.5 d")],
)
def test_a_duration_has_the_unit_a_person_would_use(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_plain_lines_are_aligned_and_numbers_stand_to_the_right() -> None:
    assert list(as_lines(report()))[:6] == [
        "Tasks by tier and outcome",
        "  tier  outcome     runs  wait p50  run p50",
        "  high  succeeded  1,200     42 ms        –",  # noqa: RUF001
        "",
        "Dead letters",
        "  none",
    ]


def test_the_last_lines_say_whether_it_balances() -> None:
    *_, sentence, judgment = as_lines(report())
    assert sentence.startswith("  accepted 3 = succeeded 3 + failed 0")
    assert judgment == "  It balances: every accepted task has ended in exactly one recorded way."


def test_what_does_not_balance_says_why() -> None:
    assert verdict(report(open_runs=2, disagreeing=1)) == (
        "It does not balance yet: the log and the read model disagree on 1 (do projections lag, or park?); "
        "2 of them still open: waiting, running or between two attempts."
    )


def test_on_a_terminal_the_same_is_shown_as_tables() -> None:
    screen = io.StringIO()
    print_report(report(), Console(file=screen, force_terminal=True, width=100, color_system=None))
    shown = screen.getvalue()
    assert "Tasks by tier and outcome" in shown
    assert "42 ms" in shown
    assert "It balances" in shown


def test_elsewhere_there_are_no_control_characters() -> None:
    paper = io.StringIO()
    print_report(report(), Console(file=paper, width=40))
    assert paper.getvalue() == "\n".join(as_lines(report())) + "\n"


def test_a_value_cannot_style_the_terminal() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    print_answer([{"error": "[red]not markup[/red]"}], console)
    assert "[red]not markup[/red]" in screen.getvalue()


def test_json_has_a_list_of_rows_for_each_section() -> None:
    values = json.loads(encode(report().as_values()))
    assert values["tasks"] == [ROW]
    assert values["dead_letters"] == []
    assert values["conservation"]["is_balanced"] is True
    assert values["accepted_until"] == "2026-03-01T12:00:00Z"

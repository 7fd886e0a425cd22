"""The table of failures and its tests: each row of one is in the other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.matrix.stage import ROOT

HERE = Path(__file__).parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGE = (ROOT / "docs" / "failures.md").read_text()


def functions_of(file: Path) -> set[str]:
    """``tests/…/test_x.py::test_y`` of every test function in a module."""
    names = (node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef))
    return {f"{file.relative_to(ROOT)}::{name}" for name in names if name.startswith("test_")}


ROWS = [f"{file}::{name}" for file, name in NAMED.findall(PAGE)]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_a_test_that_is_there(row: str) -> None:
    assert row in functions_of(ROOT / row.partition("::")[0])


def test_every_test_of_the_matrix_is_a_row_and_one_only() -> None:
    modules = [file for file in HERE.glob("test_*.py") if file.name != Path(__file__).name]
    in_the_matrix = set().union(*map(functions_of, modules))
    assert sorted(row for row in ROWS if row.startswith("tests/matrix/")) == sorted(in_the_matrix)

"""The house stays one a stranger would want to live in."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest

from infra.cli import COMMANDS, ledgerq

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "tasks", "projections", "infra")
TOP_LEVEL = {
    *PACKAGES,
    *("tests", "rabbitmq", "docs", ".ci"),
    *("pyproject.toml", "docker-compose.yml", "README.md", "CHANGELOG.md", "dev", "Makefile"),
    *("uv.lock", "requirements.txt", ".gitignore", ".dockerignore"),
}
WHERE_IDEAS_HIDE = {"utils", "util", "common", "helpers", "helper", "core", "services", "service", "manager", "misc"}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def imported_by(module: Path) -> set[str]:
    tree = ast.parse(module.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}


def test_the_top_level_holds_what_the_design_names_and_nothing_else() -> None:
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    assert {path.name for path in ROOT.iterdir()} - ignored - {".git"} <= TOP_LEVEL


def test_no_module_has_a_name_behind_which_ideas_hide() -> None:
    hiding = [path for path in modules() if {path.stem, *path.relative_to(ROOT).parts} & WHERE_IDEAS_HIDE]
    assert hiding == []


def test_the_eventsourcing_library_is_known_to_one_module_of_the_domain() -> None:
    knowing = [path.name for path in (ROOT / "domain").rglob("*.py") if "eventsourcing" in imported_by(path)]
    assert knowing == ["aggregate.py"]


def test_the_cronsim_library_is_known_to_one_module() -> None:
    assert [path.name for path in modules() if "cronsim" in imported_by(path)] == ["cron.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_outgrown_its_idea(package: str) -> None:
    """Two hundred lines are the aim; twice that is a second noun that wants a module of its own."""
    grown = {
        str(path.relative_to(ROOT)): length
        for path in (ROOT / package).rglob("*.py")
        if "migrations" not in path.parts and (length := len(path.read_text().splitlines())) > 400
    }
    assert grown == {}


def test_every_command_in_the_overview_can_be_loaded() -> None:
    context = click.Context(ledgerq)
    for name in COMMANDS:
        assert isinstance(ledgerq.get_command(context, name), click.Command), name

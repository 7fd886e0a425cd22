"""Prometheus' own tool, which knows whether rules and queries are right."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from infra.metrics.catalog import PLATFORM, SHOWN
from infra.metrics.metric import Kind

ROOT = Path(__file__).parents[3]
ADDED_BY_PROMETHEUS = {"instance", "job", "le"}
_SELECTORS = re.compile(r"\b(ledgerq_\w+)\s*(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*[=!]~?")

needed = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed (Debian: apt-get install prometheus); ./dev test installs it where it may",
)


def promtool(*arguments: str | Path) -> str:
    """What it says; fails the test where it does not agree."""
    done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_queries(queries: Iterable[str], directory: Path) -> None:
    """Have promtool parse queries, as rules that record."""
    rules = [{"record": f"checked:{number}", "expr": query} for number, query in enumerate(queries)]
    file = directory / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)


def unknown(query: str) -> Iterator[str]:
    """Metrics of ours in a query that the table does not have, and labels that such a metric does not have."""
    known = series()
    for name, labels in _SELECTORS.findall(query):
        if name not in known:
            yield name
        for label in _LABEL.findall(re.sub(r'"[^"]*"', "", labels)):
            if label not in known.get(name, ()) and label not in ADDED_BY_PROMETHEUS:
                yield f"{name}{{{label}}}"


def series() -> dict[str, tuple[str, ...]]:
    """The names that queries may use, each with its labels."""
    found: dict[str, tuple[str, ...]] = {}
    for metric in {metric for shown in SHOWN.values() for metric in shown} | set(PLATFORM):
        endings = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        found |= {f"{metric.name}{ending}": metric.labels for ending in endings}
    return found

"""The dashboards: written from the code, asking for what there is, in words that Prometheus understands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.metrics.dashboards import DASHBOARDS
from tests.infra.deploy.promtool import ROOT, check_queries, needed, unknown

DIRECTORY = ROOT / "infra/deploy/grafana"
FILES = {file.stem: json.loads(file.read_text()) for file in DIRECTORY.glob("*.json")}
OTHERS = {
    # RabbitMQ's own, of its plugin rabbitmq_prometheus (its documentation, "Monitoring with Prometheus").
    "rabbitmq_connections", "rabbitmq_channels",
    "rabbitmq_process_resident_memory_bytes", "rabbitmq_resident_memory_limit_bytes",
    # prometheus-client's of any process, and Prometheus' of any target.
    "process_cpu_seconds_total", "process_resident_memory_bytes", "up",
}  # fmt: skip
each_file = pytest.mark.parametrize("name", FILES)


def asked(model: dict[str, Any]) -> Iterator[str]:
    """Its queries, with what Grafana puts in their place for its variables."""
    for panel in model["panels"]:
        for target in panel["targets"]:
            expr = str(target["expr"]).replace("$__rate_interval", "1m")
            yield re.sub(r"\$\w+", ".*", expr)


def test_every_dashboard_is_there_as_the_code_makes_it() -> None:
    assert {uid: each.model() for uid, each in DASHBOARDS.items()} == FILES, (
        "run for each: ./dev ledgerq reference dashboard NAME > infra/deploy/grafana/NAME.json"
    )


@needed
@each_file
def test_prometheus_understands_every_query(name: str, tmp_path: Path) -> None:
    check_queries(asked(FILES[name]), tmp_path)


@each_file
def test_every_metric_in_a_query_exists(name: str) -> None:
    for query in asked(FILES[name]):
        assert list(unknown(query)) == []
        foreign = set(re.findall(r"\b(?:rabbitmq|process|pg)_\w+|\bup\b", query))
        assert foreign <= OTHERS
        assert foreign or "ledgerq_" in query


@each_file
def test_panels_have_ids_of_their_own_and_do_not_overlap(name: str) -> None:
    panels = FILES[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@each_file
def test_the_source_of_data_is_chosen_and_not_built_in(name: str) -> None:
    model = FILES[name]
    variables = {variable["name"]: variable for variable in model["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    named = [panel["datasource"] for panel in model["panels"]]
    named += [target["datasource"] for panel in model["panels"] for target in panel["targets"]]
    assert {source["uid"] for source in named} == {"${datasource}"}
    used = {found for panel in model["panels"] for t in panel["targets"] for found in re.findall(r"\$(\w+)", t["expr"])}
    assert used - {"__rate_interval"} <= set(variables)

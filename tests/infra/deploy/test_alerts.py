"""The alert rules: each fires when it should and keeps quiet when not, by Prometheus' own tool."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.infra.deploy.promtool import ROOT, needed, promtool, unknown

RULES = ROOT / "infra/deploy/prometheus/alerts.yml"
TESTS = ROOT / "tests/infra/deploy/alerts.test.yml"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


@needed
def test_every_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", TESTS)


@needed
def test_the_rules_and_the_configuration_are_what_prometheus_reads() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    promtool("check", "config", "--syntax-only", ROOT / "infra/deploy/prometheus/prometheus.yml")


@each_alert
def test_an_alert_is_tested_firing_and_quiet(alert: dict[str, Any]) -> None:
    cases = {
        bool(case["exp_alerts"])
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == alert["alert"]
    }
    assert cases == {False, True}


@each_alert
def test_an_alert_asks_for_metrics_and_labels_that_there_are(alert: dict[str, Any]) -> None:
    assert list(unknown(alert["expr"])) == []


@each_alert
def test_an_alert_says_how_grave_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    page, anchor = alert["annotations"]["runbook"].split("#")
    assert f'<a id="{anchor}"></a>' in (ROOT / page).read_text()
    assert anchor == alert["alert"].lower()


def test_a_metric_or_a_label_that_there_is_not_is_found() -> None:
    assert list(unknown('sum(ledgerq_queue_depth) / ledgerq_queue_consumers{queue=~"a=b|c", tier="x"}')) == [
        "ledgerq_queue_depth",
        "ledgerq_queue_consumers{tier}",
    ]

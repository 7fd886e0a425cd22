"""Dashboards as Grafana reads them, made from what they ask. Source of the shape: Grafana's dashboard JSON model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

WIDTH: Final = 24
"""Columns of Grafana's grid."""
HEIGHT: Final = 8
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION: Final = 39
"""Of Grafana 11; later ones read it."""


class Ask(NamedTuple):
    """A question to Prometheus, and what its answers are called (``{{label}}``)."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One picture.

    Attributes:
        title: what it shows.
        asks: the questions.
        unit: by Grafana's name (``s``, ``short``, ``bytes``, ``percentunit``).
        kind: ``timeseries``, or ``stat`` for what is so now.
        columns: of the grid.
        bad_from: a stat is red from here on.
    """

    title: str
    asks: Sequence[Ask]
    unit: str = "short"
    kind: str = "timeseries"
    columns: int = 8
    bad_from: float | None = None


class Dashboard(NamedTuple):
    """A page of panels.

    Attributes:
        uid: stable; part of its address in Grafana.
        title: its name.
        panels: in order.
        choices: labels that one can choose values of, each with the metric that has them.
    """

    uid: str
    title: str
    panels: Sequence[Panel]
    choices: Sequence[tuple[str, str]] = ()

    def model(self) -> dict[str, Any]:
        """As Grafana imports it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["ledgerq"],
            "timezone": "utc",
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "links": [{"type": "dashboards", "tags": ["ledgerq"], "title": "Ledgerq", "asDropdown": True}],
            "templating": {"list": [_source_choice(), *(_choice(label, metric) for label, metric in self.choices)]},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[dict[str, Any]]:
        x = y = 0
        for number, panel in enumerate(self.panels, 1):
            if x + panel.columns > WIDTH:
                x, y = 0, y + HEIGHT
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.columns, "h": HEIGHT})
            x += panel.columns


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(ask, letter) for ask, letter in zip(panel.asks, "ABCDEFGH", strict=False)],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **_look(panel)}, "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def _target(ask: Ask, letter: str) -> dict[str, Any]:
    return {"refId": letter, "datasource": SOURCE, "expr": ask.expr, "legendFormat": ask.legend or "__auto"}


def _look(panel: Panel) -> dict[str, Any]:
    if panel.kind != "stat":
        return {"custom": {"fillOpacity": 10, "showPoints": "never"}}
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_from is not None:
        steps.append({"color": "red", "value": panel.bad_from})
    return {"thresholds": {"mode": "absolute", "steps": steps}}


def _source_choice() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _choice(label: str, metric: str) -> dict[str, Any]:
    return {
        "name": label,
        "type": "query",
        "datasource": SOURCE,
        "query": f"label_values({metric}, {label})",
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "textMode": "value_and_name"},
}

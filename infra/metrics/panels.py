"""Panels of the usual kinds."""

from __future__ import annotations

from infra.metrics.dashboard import Ask, Panel


def stat(title: str, expr: str, *, legend: str = "", unit: str = "short", bad_from: float | None = 1) -> Panel:
    """What is so now; red from ``bad_from`` on."""
    return Panel(title, [Ask(expr, legend)], unit=unit, kind="stat", columns=4, bad_from=bad_from)


def quantiles(title: str, histogram: str, *, by: str, where: str = "", columns: int = 8) -> Panel:
    """Median and 95 of 100, by a label."""
    rate = f"sum by (le, {by}) (rate({histogram}_bucket{{{where}}}[$__rate_interval]))"
    asks = [Ask(f"histogram_quantile({q}, {rate})", f"{{{{{by}}}}} p{round(q * 100)}") for q in (0.5, 0.95)]
    return Panel(title, asks, unit="s", columns=columns)


def rate(title: str, counter: str, *, by: str, where: str = "") -> Panel:
    """How many a second, by a label."""
    return Panel(title, [Ask(f"sum by ({by}) (rate({counter}{{{where}}}[$__rate_interval]))", f"{{{{{by}}}}}")])


def rise(title: str, counter: str, *, by: str) -> Panel:
    """How many since the point before, by a label: for what is rare."""
    return Panel(title, [Ask(f"sum by ({by}) (increase({counter}[$__rate_interval]))", f"{{{{{by}}}}}")])


def level(title: str, gauge: str, *, by: str, where: str = "", unit: str = "short") -> Panel:
    """A figure of the platform, by a label; whoever shows it shows the same."""
    return Panel(title, [Ask(f"max by ({by}) ({gauge}{{{where}}})", f"{{{{{by}}}}}")], unit=unit)

"""Fan-ins that can never complete, as people and programs are told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tasks.reconcile.fan_in_repair import Ended
from tasks.reconcile.fan_ins import StuckFanIn


def print_fan_ins(fan_ins: Sequence[StuckFanIn], ended: Ended | None) -> None:
    """A line for each, and what became of them where that was asked for; nothing where there are none."""
    if not fan_ins:
        return
    click.echo(f"{len(fan_ins):>8,} {'fan-in' if len(fan_ins) == 1 else 'fan-ins'} can never complete")
    for each in fan_ins:
        click.echo(f"  {each.fan_in_id}  declared {each.declared_at:%Y-%m-%d %H:%M:%S} UTC; {each.reason}")
    if ended is not None:
        click.echo(f"{len(ended.failed):>8,} ended as failed, with the runs of their bodies")
        if ended.moved:
            click.echo(f"{len(ended.moved):>8,} moved meanwhile and were left alone")


def fan_in_values(fan_ins: Sequence[StuckFanIn], ended: Ended | None) -> dict[str, Any]:
    """The same as plain values."""
    values: dict[str, Any] = {
        "fan_ins": [
            {
                "fan_in_id": each.fan_in_id,
                "declared_at": each.declared_at,
                "members": each.members.total,
                "missing": list(each.missing),
            }
            for each in fan_ins
        ]
    }
    if ended is not None:
        values["ended_fan_ins"] = {
            "failed": [each.fan_in_id for each in ended.failed],
            "moved": [each.fan_in_id for each in ended.moved],
        }
    return values

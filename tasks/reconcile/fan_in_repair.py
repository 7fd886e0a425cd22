"""Ending fan-ins that cannot complete: whoever waits for the body hears that it never comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from domain.fan_in import FanInDeclared, fan_in_stream
from domain.task_run import run_stream
from infra.event_store import EventStore, Log
from infra.event_store import fan_ins as members
from tasks.dispatch.settling import Settling
from tasks.reconcile.fan_ins import StuckFanIn


class Ended(NamedTuple):
    """What became of the fan-ins: ended as failed, or left alone because something was told of them meanwhile."""

    failed: list[StuckFanIn]
    moved: list[StuckFanIn]


def end_fan_ins(store: EventStore, fan_ins: Sequence[StuckFanIn], *, actor: str, at: datetime) -> Ended:
    """Settle each as failed, each in a transaction of its own.

    Args:
        store: the log.
        fan_ins: those that were found to be stuck.
        actor: who asked for it.
        at: the present, UTC.
    """
    ended = Ended([], [])
    for each in fan_ins:
        (ended.failed if _end(store, each, actor=actor, at=at) else ended.moved).append(each)
    return ended


def _end(store: EventStore, fan_in: StuckFanIn, *, actor: str, at: datetime) -> bool:
    stream = fan_in_stream(fan_in.fan_in_id)
    with store.transaction() as transaction:
        told = transaction.load_recorded(Log.TASKS, [stream, *map(run_stream, fan_in.missing)])
        declared = next((each for each in told[stream] if isinstance(each.event, FanInDeclared)), None)
        count = members.counts(transaction.connection, [fan_in.fan_in_id]).get(fan_in.fan_in_id)
        if declared is None or len(told) > 1 or count is None or count != fan_in.members:
            return False  # none: it is settled, and its members are forgotten
        settling = Settling(transaction, fan_in.fan_in_id, declared, count, at=at, actor=actor)
        # Nobody else will: dispatch forgets a fan-in at news of it. First, as dispatch locks what it has noted first.
        members.forget(transaction.connection, fan_in.fan_in_id)
        return settling.fail(fan_in.reason)

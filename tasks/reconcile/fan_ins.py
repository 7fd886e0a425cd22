"""Fan-ins that wait for members of which nobody has ever heard: their client died before it had sent all of them.

A declaration names runs and no tiers, so a member is nowhere only where each tier is shown not to hold its message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from domain.fan_in import DECLARED, SETTLED, Count, FanInDeclared, Standing, fan_in_stream, standing
from domain.task_run import run_stream
from domain.tier import Tier
from tasks.reconcile import judging
from tasks.reconcile.judging import Evidence
from tasks.reconcile.open_run import OpenRun, Place

LOWEST: Final = 0
"""No message's priority is below it, so nothing that was begun before one that waits is taken to have overtaken it."""
_OPEN: Final = f"""
    select waiting.fan_in_id, declared.recorded_at, declared.data->'members', (declared.data->>'least')::int,
           waiting.total, waiting.succeeded, waiting.failed
    from (
        select fan_in_id, count(*) as total, count(*) filter (where is_succeeded) as succeeded,
               count(*) filter (where not is_succeeded) as failed
        from event_store.fan_in_places group by fan_in_id having bool_or(is_succeeded is null)
    ) as waiting
    join event_store.task_events as declared
        on declared.stream_id = '{fan_in_stream("")}' || waiting.fan_in_id and declared.version = {DECLARED}
    where declared.recorded_at < %b
        and not exists (
            select from event_store.task_events as settled
            where settled.stream_id = declared.stream_id and settled.version = {SETTLED})
    order by declared.position
""".encode()  # noqa: S608  constants
_RECORDED: Final = b"select distinct stream_id from event_store.task_events where stream_id = any(%b::text[])"


class StuckFanIn(NamedTuple):
    """A fan-in that is not settled, and members of it of which nothing is recorded.

    Attributes:
        fan_in_id: its id, which is that of Celery's group.
        declared_at: when its declaration was recorded.
        members: by what became of them.
        least: how many have to succeed; None: all.
        missing: of each member of which nothing is recorded its first run.
    """

    fan_in_id: str
    declared_at: datetime
    members: Count
    least: int | None
    missing: tuple[str, ...]

    @property
    def is_stuck(self) -> bool:
        """Whether the others cannot be enough, whatever becomes of them."""
        total, succeeded, failed = self.members
        at_best = standing(Count(total, succeeded, failed + len(self.missing)), self.least)
        return bool(self.missing) and at_best is Standing.FAILED

    @property
    def reason(self) -> str:
        """Why it cannot complete, in words."""
        return (
            f"{len(self.missing)} of {self.members.total} members were never recorded and are in no queue, first "
            f"{self.missing[0]}: their client died before it sent them, or their messages were lost"
        )


def open_fan_ins(connection: psycopg.Connection[Any], *, declared_before: datetime) -> list[StuckFanIn]:
    """Fan-ins that are stuck if what is not recorded of them is nowhere, in the order of their declarations."""
    rows = connection.execute(_OPEN, [declared_before]).fetchall()
    wanted = [run_stream(run) for row in rows for links in row[2] for run in links]
    known = {stream for (stream,) in connection.execute(_RECORDED, [wanted]).fetchall()}
    found = []
    for fan_in_id, declared_at, members, least, *count in rows:
        missing = tuple(links[0] for links in members if not any(run_stream(run) in known for run in links))
        found.append(StuckFanIn(fan_in_id, declared_at, Count(*count), least, missing))
    return [each for each in found if each.is_stuck]


def stuck(fan_ins: Sequence[StuckFanIn], evidence: Evidence) -> list[StuckFanIn]:
    """Those that are stuck by what the broker and the workers say, with the members that are nowhere."""
    return narrowed(fan_ins, {run for each in fan_ins for run in _nowhere(each, evidence)})


def narrowed(fan_ins: Sequence[StuckFanIn], nowhere: set[str]) -> list[StuckFanIn]:
    """Those that are stuck if only these runs are nowhere."""
    less = [each._replace(missing=tuple(run for run in each.missing if run in nowhere)) for each in fan_ins]
    return [each for each in less if each.is_stuck]


def _nowhere(fan_in: StuckFanIn, evidence: Evidence) -> list[str]:
    """Its missing members that are in no place. All but what was read says the same of each of them."""
    unseen = [run for run in fan_in.missing if run not in (evidence.contents or ())]
    assumed = [_assumed(unseen[0], fan_in.declared_at, tier) for tier in Tier] if unseen else []
    return unseen if len(judging.judge(assumed, evidence)[judging.Standing.NOWHERE]) == len(assumed) else []


def _assumed(run_id: str, since: datetime, tier: Tier) -> OpenRun:
    """The run as it would be if its message waited in that tier's queue."""
    return OpenRun(
        run_id=run_id,
        task="",
        tier=tier,
        priority=LOWEST,
        place=Place.QUEUE,
        attempt=1,
        last=FanInDeclared.TOPIC,
        since=since,
        due=None,
        worker=None,
        request_position=None,
        copies=0,
        spared=0,
    )

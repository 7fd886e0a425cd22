"""When dispatch kept the runs of a tier in the log, and how much waited there."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from domain.backpressure import Backpressure, Seen
from domain.tier import Tier
from infra.event_store import Log
from tests.projections.histories import NOON
from tests.projections.world import World

ALL = "select * from analytics.fct_backpressure order by began_at"


def seen(ready: int, seconds: float, backlog: int) -> Seen:
    at = NOON + timedelta(seconds=seconds)
    return Seen(ready_messages=ready, limit_messages=10, backlog_runs=backlog, at=at)


def test_each_time_is_a_row_with_both_ends(world: World) -> None:
    off = Backpressure(Tier.LOW, 17)
    began = off.begin(seen(11, 0, 40))
    ended = off.after(began).end(seen(8, 90, 25))
    again = msgspec.structs.replace(off, version=2).begin(seen(10, 120, 30))
    world.record(Log.LICENSING, began, ended, again)
    first, second = world.rows(ALL)
    assert (first["tier"], first["queue"], first["is_on"], first["held_seconds"]) == ("low", "tasks.low", False, 90)
    assert [first[f"{end}_{what}"] for end in ("began", "ended") for what in ("ready_messages", "backlog_runs")] == [
        11,
        40,
        8,
        25,
    ]
    assert (second["is_on"], second["ended_at"], second["ended_ready_messages"]) == (True, None, None)
    assert second["held_seconds"] > 0

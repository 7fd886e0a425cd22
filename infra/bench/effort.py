"""How much is done for each figure: all of it, or so little that the whole benchmark takes about a minute."""

from __future__ import annotations

from typing import Final, NamedTuple


class Effort(NamedTuple):
    """Sizes of the measurements; the figures have the same names whatever the sizes.

    Attributes:
        rounds: how often a worker, dispatch and the projector take turns with their peers.
        close_rounds: the same, where what is compared differs by less than a machine does from round to round.
        emits: round trips from an emit until it is visible.
        single_messages: heartbeats in a message of their own.
        paced_seconds: of a steady stream.
        batches: messages of 500 heartbeats.
        sessions: that live at once …
        beating_seconds: … and send heartbeats for so long.
        quick_tasks: that do nothing, of each worker in each round.
        ten_millisecond_tasks: the same.
        with_all_peers: whether peers take part that no goal is about: Celery's own ways to record, dramatiq.
        dispatched_runs: in each round.
        silent_sessions: that the sweep has to find.
        store_part: of the appends to the event store.
        sealed_commits: of a thousand events, in each round.
        projected_events: in each round; the library gets a thirtieth.
        heartbeat_minutes: of 100 000 sessions, for the projector; the first is not measured, so there are two at least.
        rebuilt_events: read again.
        dropped_heartbeats: in the month that is dropped.
        long_log_events: in the log that is filled on demand.
        listed_runs: in the read model that pages list.
    """

    rounds: int
    close_rounds: int
    emits: int
    single_messages: int
    paced_seconds: int
    batches: int
    sessions: int
    beating_seconds: int
    quick_tasks: int
    ten_millisecond_tasks: int
    with_all_peers: bool
    dispatched_runs: int
    silent_sessions: int
    store_part: float
    sealed_commits: int
    projected_events: int
    heartbeat_minutes: int
    rebuilt_events: int
    dropped_heartbeats: int
    long_log_events: int
    listed_runs: int


FULL: Final = Effort(
    rounds=3,
    close_rounds=9,
    emits=300,
    single_messages=50_000,
    paced_seconds=20,
    batches=1000,
    sessions=1_000_000,
    beating_seconds=600,
    quick_tasks=20_000,
    ten_millisecond_tasks=3_000,
    with_all_peers=True,
    dispatched_runs=10_000,
    silent_sessions=100_000,
    store_part=1.0,
    sealed_commits=150,
    projected_events=100_000,
    heartbeat_minutes=6,
    rebuilt_events=1_000_000,
    dropped_heartbeats=5_000_000,
    long_log_events=10_000_000,
    listed_runs=1_000_000,
)
QUICK: Final = Effort(
    rounds=1,
    close_rounds=1,
    emits=30,
    single_messages=3_000,
    paced_seconds=1,
    batches=50,
    sessions=10_000,
    beating_seconds=3,
    quick_tasks=1_500,
    ten_millisecond_tasks=100,
    with_all_peers=False,
    dispatched_runs=2_000,
    silent_sessions=5_000,
    store_part=0.05,
    sealed_commits=10,
    projected_events=10_000,
    heartbeat_minutes=2,
    rebuilt_events=50_000,
    dropped_heartbeats=100_000,
    long_log_events=1_000_000,
    listed_runs=100_000,
)

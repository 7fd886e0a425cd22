"""What metrics cost a worker: tasks that do nothing, counted and not counted."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

from infra.bench.tasks import OURS, Peer, TaskBench

TASK: Final = "sample.nothing"


def metered_tasks(bench: TaskBench, *, runs: int, rounds: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Median over rounds of the ratio of processor time of the worker's main process, where the counting is done.

    Args:
        bench: measures workers.
        runs: of each in each round.
        rounds: of turns.
        tell: called with a line for each round.
    """
    peers = {"unmetered": Peer(OURS, {"LEDGERQ_METRICS_PORT": "0"}), "metered": Peer(OURS)}
    measured = bench.take_turns(TASK, peers, runs=runs, rounds=rounds, tell=tell)
    ratios = (m["metered"].main_seconds / m["unmetered"].main_seconds for m in measured)
    return {"task_with_metrics_processor_ratio": statistics.median(ratios)}

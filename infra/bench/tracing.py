"""What spans cost a worker: tasks that do nothing; untraced, and with none, a tenth and all of their spans sent."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

from infra.bench.collector import collector
from infra.bench.tasks import OURS, Peer, TaskBench

TASK: Final = "sample.nothing"
_OFF: Final = "untraced"


def traced_tasks(bench: TaskBench, *, runs: int, rounds: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Medians over rounds of ratios: of rates, and of processor time.

    Args:
        bench: measures workers.
        runs: of each in each round.
        rounds: of turns.
        tell: called with a line for each round.
    """
    with collector() as endpoint:
        shares = {"traced_none": "0", "traced_tenth": "0.1", "traced_all": "1"}
        peers = {_OFF: Peer(OURS), **{name: _traced(endpoint, share) for name, share in shares.items()}}
        measured = bench.take_turns(TASK, peers, runs=runs, rounds=rounds, tell=tell)
    figures: dict[str, float] = {}
    for name in peers:
        if name != _OFF:
            spent = (m[name].processor_seconds / m[_OFF].processor_seconds for m in measured)
            figures[f"{name}_vs_untraced"] = statistics.median(m[name].rate / m[_OFF].rate for m in measured)
            figures[f"{name}_processor_vs_untraced"] = statistics.median(spent)
    return figures


def _traced(endpoint: str, ratio: str) -> Peer:
    return Peer(OURS, {"LEDGERQ_TRACING_ENDPOINT": endpoint, "LEDGERQ_TRACING_SAMPLED": ratio})

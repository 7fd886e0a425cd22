"""What spans cost a worker: tasks that do nothing, with a tenth of their stories sent, with all of them, with none."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

from infra.bench.collector import collector
from infra.bench.tasks import OURS, Measured, Peer, TaskBench

TASK: Final = "sample.nothing"
_OFF: Final = "untraced"


def traced_tasks(bench: TaskBench, *, runs: int, rounds: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Medians over rounds of ratios: of rates, and of processor time.

    Args:
        bench: measures workers.
        runs: of each in each round.
        rounds: each measures all, in turn and the next time in the opposite order.
        tell: called with a line for each round.
    """
    measured: list[dict[str, Measured]] = []
    with collector() as endpoint:
        peers = {_OFF: Peer(OURS), "traced_tenth": _traced(endpoint, "0.1"), "traced_all": _traced(endpoint, "1")}
        for number in range(rounds):
            in_turn = list(peers) if number % 2 == 0 else list(peers)[::-1]
            measured.append({name: bench.measure(peers[name], TASK, runs) for name in in_turn})
            said = (f"{n} {m.rate:,.0f}/s, {m.processor_seconds * 1e6:,.0f} us" for n, m in measured[-1].items())
            tell(f"  {TASK}, round {number + 1}: {'; '.join(said)}")
    figures: dict[str, float] = {}
    for name in peers:
        if name != _OFF:
            spent = (m[name].processor_seconds / m[_OFF].processor_seconds for m in measured)
            figures[f"{name}_vs_untraced"] = statistics.median(m[name].rate / m[_OFF].rate for m in measured)
            figures[f"{name}_processor_vs_untraced"] = statistics.median(spent)
    return figures


def _traced(endpoint: str, ratio: str) -> Peer:
    return Peer(OURS, {"LEDGERQ_TRACING_ENDPOINT": endpoint, "LEDGERQ_TRACING_SAMPLED": ratio})

"""Writers race: each in processes or threads of its own, all against one database, round after round in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from infra.bench.writing import READY, Assignment, Stint, Writer, receive, send


class Contender(NamedTuple):
    """A way to store events, and how many do it at once.

    Attributes:
        make: called with the database's URL in every process; has to be picklable.
        processes: how many.
        threads: how many in each of them.
        part: of a stint's commits that it does; the slow need not take long for their rate to be known.
    """

    make: Callable[[str], Writer]
    processes: int = 1
    threads: int = 1
    part: float = 1.0


class WriterFailedError(Exception):
    """A writer's process ended before its work did; what it said is on standard error."""


def race(
    url: str, contenders: Mapping[str, Contender], stint: Stint, *, rounds: int, tell: Callable[[str], None]
) -> list[dict[str, float]]:
    """Events a second of each contender, for each round; in a round each works alone, one after the other.

    Raises:
        WriterFailedError: one of them could not do its work.
    """
    found: list[dict[str, float]] = []
    with ExitStack() as stack:
        teams = {name: stack.enter_context(_team(each, url)) for name, each in contenders.items()}
        stints = {
            name: Stint(max(1, round(stint.commits * each.part)), stint.size) for name, each in contenders.items()
        }
        for number in range(rounds):
            found.append({name: team.rate(stints[name]) for name, team in teams.items()})
            tell(f"  round {number + 1}: " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in found[-1].items()))
    return found


def medians(ours: str, found: list[dict[str, float]], **limits: tuple[str, ...]) -> dict[str, float]:
    """Median rates, and medians over the rounds of the ratios of ``ours`` to each limit.

    Args:
        ours: which contender is measured.
        found: what :func:`race` gave.
        limits: name of a limit → contenders of which the best of a round counts.
    """
    figures = {"per_second": statistics.median(each[ours] for each in found)}
    for limit, names in limits.items():
        best = [max(each[name] for name in names) for each in found]
        figures[f"{limit}_per_second"] = statistics.median(best)
        figures[f"vs_{limit}"] = statistics.median(each[ours] / top for each, top in zip(found, best, strict=True))
    return figures


class _Team(NamedTuple):
    processes: list[subprocess.Popen[bytes]]
    threads: int

    def rate(self, stint: Stint) -> float:
        for process in self.processes:
            send(_pipe(process.stdin), stint)
        for process in self.processes:
            if receive(_pipe(process.stdout)) != READY:
                raise WriterFailedError(process.args)
        for process in self.processes:
            send(_pipe(process.stdin), READY)
        spans = [receive(_pipe(process.stdout)) for process in self.processes]
        if None in spans:
            raise WriterFailedError(self.processes[spans.index(None)].args)
        took = max(ended for _, ended in spans) - min(began for began, _ in spans)
        return len(self.processes) * self.threads * stint.commits * stint.size / float(took)


@contextmanager
def _team(contender: Contender, url: str) -> Iterator[_Team]:
    command = [sys.executable, "-m", "infra.bench.writing"]
    team = _Team([], contender.threads)
    try:
        for _ in range(contender.processes):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  ours
            team.processes.append(process)
            send(_pipe(process.stdin), Assignment(contender.make, url, contender.threads))
        yield team
    finally:
        for process in team.processes:
            process.kill()
            process.communicate()


def _pipe(pipe: Any) -> Any:
    if pipe is None:
        raise RuntimeError("the writer was started without pipes")
    return pipe

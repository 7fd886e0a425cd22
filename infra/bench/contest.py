"""Writers race: each in processes or threads of its own, all against one database, round after round in turn."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, NamedTuple

from infra.bench.writing import READY, Assignment, Stint, Writer, serve

_FORKSERVER: Final = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["infra.bench.store"])  # imported once, not by each of thirty writers


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
    """A writer's process, which is named, ended before its work did; what it said is on standard error."""


def race(
    url: str, contenders: Mapping[str, Contender], stint: Stint, *, rounds: int, tell: Callable[[str], None]
) -> list[dict[str, float]]:
    """Events a second of each contender, for each round; in a round each works alone, one after the other.

    Raises:
        WriterFailedError: one of them could not do its work.
    """
    found: list[dict[str, float]] = []
    with ExitStack() as stack:
        teams = {name: stack.enter_context(_team(name, each, url)) for name, each in contenders.items()}
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


class _Member(NamedTuple):
    process: BaseProcess
    pipe: Connection

    def tell(self, what: object) -> None:
        try:
            self.pipe.send(what)
        except BrokenPipeError:
            raise WriterFailedError(self.process.name) from None

    def hear(self) -> Any:
        try:
            return self.pipe.recv()
        except EOFError:
            raise WriterFailedError(self.process.name) from None


class _Team(NamedTuple):
    members: list[_Member]
    threads: int

    def rate(self, stint: Stint) -> float:
        for member in self.members:
            member.tell(stint)
        for member in self.members:
            member.hear()
        for member in self.members:
            member.tell(READY)
        spans = [member.hear() for member in self.members]
        took = max(ended for _, ended in spans) - min(began for began, _ in spans)
        return len(self.members) * self.threads * stint.commits * stint.size / float(took)


@contextmanager
def _team(name: str, contender: Contender, url: str) -> Iterator[_Team]:
    team = _Team([], contender.threads)
    try:
        for number in range(contender.processes):
            pipe, other = _FORKSERVER.Pipe()
            assignment = Assignment(contender.make, url, contender.threads)
            process = _FORKSERVER.Process(target=serve, args=(assignment, other), name=f"{name} {number + 1}")
            process.start()
            other.close()  # the end of the process is to end the pipe
            team.members.append(_Member(process, pipe))
        yield team
    finally:
        for member in team.members:
            member.process.kill()
            member.process.join()
            member.pipe.close()

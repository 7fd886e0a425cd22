"""``python -m infra.local``: local servers for a command, or until Ctrl-C; what ``./dev`` calls."""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.local import leash, processes
from infra.local.errors import LocalServersError
from infra.local.foreground import run_in_foreground
from infra.local.servers import MANAGEMENT
from infra.local.signals import Signals, ending
from infra.local.slot import ROOT, Slot, live_slots, take_slot

_STATUS_OF_SIGNAL: Final = 128


class Interrupted(Exception):  # noqa: N818  not an error: somebody asked for the end
    """A signal asked for the end while nothing ran yet that it could be passed to."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = _STATUS_OF_SIGNAL + number


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; the exit status."""
    chosen = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], int] = chosen.work
    try:
        return work(chosen)
    except Interrupted as interrupted:
        return interrupted.status
    except LocalServersError as error:
        sys.stderr.write(f"ledgerq: {error}\n")
        return 1


def execute(chosen: argparse.Namespace) -> int:
    """Run a command with servers; its exit status."""
    command: list[str] = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    if not command:
        sys.stderr.write("ledgerq: exec needs a command\n")
        return 2
    with Signals() as signals, servers(chosen, signals) as (slot, environment):
        marked = processes.marked({**os.environ, **environment}, slot.directory)
        return run_in_foreground(command, marked, signals)


def serve(chosen: argparse.Namespace) -> int:
    """Keep servers up until somebody asks for the end."""
    with Signals() as signals, servers(chosen, signals) as (slot, environment):
        sys.stderr.write(
            f"addresses and passwords: . {slot.environment_file}\n"
            f"management UI: {environment.get(MANAGEMENT, 'not known')} (user and password are the broker URL's)\n"
            "Ctrl-C stops the servers\n"
        )
        while not ending(signals.wait()):
            pass
    return 0


def show_live(chosen: argparse.Namespace) -> int:
    """Print the file to source for the addresses of a run that is up, or else of servers; status 1 when none are."""
    live = live_slots(chosen.root)
    files = [slot / "run.env" for slot in live] + [slot / "env" for slot in live]
    for file in filter(Path.exists, files):
        sys.stdout.write(f"{file}\n")
        return 0
    return 1


@contextmanager
def servers(chosen: argparse.Namespace, signals: Signals) -> Iterator[tuple[Slot, dict[str, str]]]:
    """A slot whose servers are up; all of it is stopped at the end.

    Raises:
        LocalServersError: the servers cannot be had.
        Interrupted: a signal came while they were starting.
    """
    slot = take_slot(chosen.root)
    held = leash.put_on_leash(slot, docker=chosen.docker)
    try:
        answer = _await_answer(held, signals)
        sys.stderr.write(f"ledgerq: {slot.directory.name}: {answer['servers']}\n")
        yield slot, answer["environment"]
    finally:
        _let_go(held, slot)


def _await_answer(held: subprocess.Popen[bytes], signals: Signals) -> leash.Answer:
    assert held.stdout is not None  # noqa: S101  a pipe, as asked for
    text = b""
    while not text.endswith(b"\n"):
        asked = ending(signals.wait(also=held.stdout.fileno()))
        if asked:
            raise Interrupted(asked[0])
        # The pipe holds nothing yet when it was only SIGCHLD that woke us.
        if select.select([held.stdout], [], [], 0)[0]:
            more = os.read(held.stdout.fileno(), 65536)
            if not more:
                raise LocalServersError("the process that holds the servers ended without an answer")
            text += more
    answer: leash.Answer = json.loads(text)
    if "error" in answer:
        raise LocalServersError(answer["error"])
    return answer


def _let_go(held: subprocess.Popen[bytes], slot: Slot) -> None:
    """Close the pipe, wait until the leash has stopped everything, and see to it where the leash was killed."""
    for pipe in (held.stdin, held.stdout):
        if pipe is not None:
            pipe.close()
    if held.wait():
        leash.clear(slot)
    os.close(slot.lock)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="infra.local", description=__doc__)
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="where the slots are (default: .ledgerq in the checkout)"
    )
    commands = parser.add_subparsers(required=True)
    for name, work in (("exec", execute), ("services", serve), ("live", show_live)):
        command = commands.add_parser(name, help=work.__doc__)
        command.set_defaults(work=work, docker=False)
        if name != "live":
            command.add_argument("--docker", action="store_true", help="containers instead of private nodes")
        if name == "exec":
            command.add_argument("command", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

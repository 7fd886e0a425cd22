"""What the keyboard says reaches the command, once."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.local.runs import GIVEN, Run
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals differ")

LISTEN = "trap 'echo interrupted; exit 9' INT; echo ready; while read word; do echo heard $word; done"


class Keyboard:
    """Our end of a pseudo-terminal at which a run sits in the foreground."""

    def __init__(self, root: Path) -> None:
        self._ours, theirs = pty.openpty()
        self._said = b""

        def lead() -> None:
            """Make the pseudo-terminal the controlling one of a session of its own, as a terminal program does."""
            os.setsid()
            os.close(os.open(os.ttyname(theirs), os.O_RDWR))

        command = ("exec", "--", "sh", "-c", LISTEN)
        self.run = Run(root, *command, given=GIVEN, stdin=theirs, stdout=theirs, preexec_fn=lead)
        os.close(theirs)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def shows(self, words: bytes) -> None:
        """Wait until the terminal has shown the words."""
        eventually(lambda: words in self._read())

    def close(self) -> None:
        os.close(self._ours)

    def _read(self) -> bytes:
        if select.select([self._ours], [], [], 0)[0]:
            self._said += os.read(self._ours, 1024)
        return self._said


@pytest.fixture
def keyboard(tmp_path: Path) -> Iterator[Keyboard]:
    made = Keyboard(tmp_path)
    yield made
    made.close()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_the_command_reads_the_terminal_and_ctrl_c_reaches_it(keyboard: Keyboard) -> None:
    keyboard.shows(b"ready")
    keyboard.type(b"hello\n")
    keyboard.shows(b"heard hello")
    keyboard.type(b"\x03")
    keyboard.shows(b"interrupted")
    status, _, errors = keyboard.run.end()
    assert status == 9, errors


def test_ctrl_z_pauses_the_run_with_its_command(keyboard: Keyboard) -> None:
    keyboard.shows(b"ready")
    keyboard.type(b"\x1a")
    eventually(lambda: state(keyboard.run.process.pid) == "T")
    keyboard.run.signal(signal.SIGCONT)
    keyboard.type(b"hello\n")
    keyboard.shows(b"heard hello")
    keyboard.type(b"\x03")
    assert keyboard.run.end()[0] == 9

"""What the keyboard says reaches the command, once."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from tests.infra.local.runs import GIVEN, Run
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals differ")

LISTEN = "trap 'echo interrupted; exit 9' INT; echo ready; read word; echo heard $word; while :; do sleep 0.05; done"


def test_the_command_reads_the_terminal_and_ctrl_c_reaches_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()

    def lead() -> None:
        """Make the pseudo-terminal the controlling one of a session of its own, as a terminal program does."""
        os.setsid()
        os.close(os.open(os.ttyname(theirs), os.O_RDWR))

    started = Run(tmp_path, "exec", "--", "sh", "-c", LISTEN, given=GIVEN, stdin=theirs, stdout=theirs, preexec_fn=lead)
    os.close(theirs)
    said = bytearray()

    def says(word: bytes) -> bool:
        said.extend(os.read(ours, 1024))
        return word in said

    eventually(lambda: says(b"ready"))
    os.write(ours, b"hello\n")
    eventually(lambda: says(b"heard hello"))
    os.write(ours, b"\x03")
    eventually(lambda: says(b"interrupted"))
    status, _, errors = started.end()
    os.close(ours)
    assert status == 9, errors

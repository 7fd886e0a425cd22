"""Leadership across processes: the server notices the end of a leader that could not say goodbye."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from infra.database import DatabaseUnreachableError, Leadership
from infra.settings import Settings
from tests.infra.databases import end_sessions
from tests.waiting import eventually

LEAD = """
import sys
from pydantic import SecretStr
from infra.database import Leadership
from infra.settings import Settings
with Leadership(Settings(database_url=SecretStr(sys.argv[1])), "sweep") as leadership:
    print(leadership.acquire(), flush=True)
    sys.stdin.read()
"""


def test_a_leader_in_a_killed_process_is_replaced(settings: Settings) -> None:
    command = [sys.executable, "-c", LEAD, settings.database_url.get_secret_value()]
    with (
        Leadership(settings, "sweep") as second,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as leader,
    ):
        assert leader.stdout is not None
        assert leader.stdout.readline() == "True\n"
        assert not second.acquire()

        os.kill(leader.pid, signal.SIGKILL)
        leader.wait()

        assert second.acquire(timeout=5)


def test_a_standby_whose_session_was_cut_stands_by_again(settings: Settings) -> None:
    with Leadership(settings, "sweep") as leader, Leadership(settings, "sweep") as standby:
        assert leader.acquire()
        assert not standby.acquire()
        end_sessions(settings, like="ledgerq leadership sweep")
        assert not leader.still_held()

        def takes_over() -> bool:
            try:
                return standby.acquire()
            except DatabaseUnreachableError:  # it learns that its own session is gone, too
                return False

        assert eventually(takes_over, seconds=5)

"""Local servers come up, stay apart, and are gone afterwards, however the run ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest

from infra.local import processes
from tests.infra.local.runs import GIVEN, GIVEN_BROKER, Run, everything_of, nothing_is_left_of, run
from tests.infra.local.sockets import LOOPBACK, listening_addresses
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SHOW = "import json, os; print(json.dumps(dict(os.environ)), flush=True)"
SHOW_AND_WAIT = ("exec", "--", sys.executable, "-c", f"{SHOW}; input(); raise SystemExit(7)")


def addresses(started: Run) -> dict[str, str]:
    found: dict[str, str] = json.loads(started.line())
    return found


# The only tests here that start RabbitMQ, twice in all.


def test_two_runs_at_a_time_have_servers_of_their_own_and_leave_none(open_directory: Path) -> None:
    one, other = Run(open_directory, *SHOW_AND_WAIT), Run(open_directory, *SHOW_AND_WAIT)
    first, second = addresses(one), addresses(other)

    assert {first["LEDGERQ_STATE_DIR"], second["LEDGERQ_STATE_DIR"]} == {
        str(open_directory / "slot-0"),
        str(open_directory / "slot-1"),
    }
    for name in ("LEDGERQ_BROKER_URL", "LEDGERQ_MANAGEMENT_URL", "LEDGERQ_DATABASE_URL"):
        assert first[name] != second[name]
    with psycopg.connect(first["LEDGERQ_DATABASE_URL"]) as connection:
        assert connection.execute("show fsync").fetchone() == ("on",)
    with urllib.request.urlopen(first["LEDGERQ_MANAGEMENT_URL"]) as page:  # noqa: S310  http, our own node
        assert b"RabbitMQ" in page.read()
    servers = [pid for slot in open_directory.glob("slot-?") for pid in processes.members(slot / "servers")]
    assert listening_addresses(servers) <= LOOPBACK
    assert len(listening_addresses(servers)) > 0

    one.process.communicate("\n")
    assert one.process.returncode == 7
    assert everything_of(Path(first["LEDGERQ_STATE_DIR"])) == []
    assert everything_of(Path(second["LEDGERQ_STATE_DIR"])) != []

    other.signal(signal.SIGKILL)
    other.end()
    nothing_is_left_of(Path(second["LEDGERQ_STATE_DIR"]))


# PostgreSQL alone: it starts in a second where its data is set up already.


def test_data_of_the_run_before_is_still_there(open_directory: Path) -> None:
    for statement in ("create table kept as select 41 + 1 as answer", "select answer from kept"):
        connect = "psycopg.connect(os.environ['LEDGERQ_DATABASE_URL'], autocommit=True)"
        work = f"import os, psycopg; c = {connect}; c.execute('{statement}'); c.close()"
        status, _, said = run(open_directory, "exec", "--", sys.executable, "-c", work, given=GIVEN_BROKER)
        assert status == 0, said


def test_a_broken_data_directory_is_set_up_anew(open_directory: Path) -> None:
    assert run(open_directory, "exec", "true", given=GIVEN_BROKER)[0] == 0
    (open_directory / "slot-0/postgresql/data/global/pg_control").write_bytes(b"rubbish")
    status, _, said = run(open_directory, "exec", "true", given=GIVEN_BROKER)
    assert status == 0
    assert "setting it up anew" in said


def test_what_a_killed_run_and_its_killed_leash_left_is_stopped_by_the_next(open_directory: Path) -> None:
    killed = Run(open_directory, *SHOW_AND_WAIT, given=GIVEN_BROKER)
    slot = Path(addresses(killed)["LEDGERQ_STATE_DIR"])
    leash, command = killed.children()
    os.kill(leash, signal.SIGSTOP)  # or it may see the run die and end the command before its own end comes
    for pid in (killed.process.pid, leash):
        os.kill(pid, signal.SIGKILL)
    killed.process.wait()
    left = processes.members(slot / "servers")
    assert left
    assert command in processes.members(slot)

    again = Run(open_directory, *SHOW_AND_WAIT, given=GIVEN_BROKER)
    assert addresses(again)["LEDGERQ_STATE_DIR"] == str(slot)
    assert not {*left, command} & set(everything_of(slot))
    again.process.communicate("\n")
    killed.process.communicate()
    nothing_is_left_of(slot)


def test_addresses_are_for_the_owner_and_only_while_the_servers_are_up(open_directory: Path) -> None:
    started = Run(open_directory, "services", given=GIVEN_BROKER)
    env = open_directory / "slot-0/env"
    eventually(env.exists)
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert "export LEDGERQ_DATABASE_URL=" in env.read_text()
    assert run(open_directory, "live") == (0, f"{env}\n", "")
    (open_directory / "slot-0/run.env").touch()
    assert run(open_directory, "live") == (0, f"{open_directory}/slot-0/run.env\n", "")

    started.signal(signal.SIGINT)
    status, _, said = started.end()
    assert status == 0, said
    assert run(open_directory, "live")[0] == 1
    assert everything_of(open_directory / "slot-0") == []


def test_a_signal_while_servers_start_stops_them_again(open_directory: Path) -> None:
    started = Run(open_directory, "exec", "true", given=GIVEN_BROKER)
    eventually(lambda: processes.members(open_directory / "slot-0/servers"))
    started.signal(signal.SIGTERM)
    status, _, _ = started.end()
    assert status == 128 + signal.SIGTERM
    assert everything_of(open_directory / "slot-0") == []


# No server at all: both are given.


def test_given_servers_are_passed_on_and_nothing_is_started(tmp_path: Path) -> None:
    started = Run(tmp_path, *SHOW_AND_WAIT, given=GIVEN)
    found = addresses(started)
    assert {name: found[name] for name in GIVEN} == GIVEN
    assert processes.members(tmp_path / "slot-0/servers") == []
    started.process.communicate("\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [(["true"], 0), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137), (["no-such-program"], 127)],
)
def test_the_commands_exit_status_is_the_runs(tmp_path: Path, command: list[str], status: int) -> None:
    assert run(tmp_path, "exec", "--", *command, given=GIVEN)[0] == status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command_once_and_it_has_time_to_end(tmp_path: Path, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    # After the first one it stays for half a second, in which a second one, sent then, would be counted.
    count = f"n=0; trap 'n=$((n+1))' {name}; echo ready; while [ $n = 0 ]; do sleep 0.05; done; echo first"
    script = f"{count}; for i in 0 1 2 3 4 5 6 7 8 9; do sleep 0.05; done; echo heard $n; exit 5"
    started = Run(tmp_path, "exec", "--", "sh", "-c", script, given=GIVEN)
    assert started.line() == "ready"
    started.signal(number)
    assert started.line() == "first"
    started.signal(number)
    status, out, _ = started.end()
    assert (status, out) == (5, "heard 1\n")


def test_what_the_command_leaves_running_is_ended(tmp_path: Path) -> None:
    script = "setsid sleep 1000 >/dev/null 2>&1 & echo $!"
    started = Run(tmp_path, "exec", "--", "sh", "-c", script, given=GIVEN)
    orphan = int(started.line())
    started.end()
    assert processes.identity(orphan) is None


def test_killing_the_run_ends_its_command(tmp_path: Path) -> None:
    started = Run(tmp_path, "exec", "--", "sh", "-c", "echo $$; exec sleep 1000", given=GIVEN)
    command = int(started.line())
    started.signal(signal.SIGKILL)
    eventually(lambda: processes.identity(command) is None)
    started.end()
    nothing_is_left_of(tmp_path / "slot-0")


def test_a_missing_command_is_a_usage_error(tmp_path: Path) -> None:
    status, _, said = run(tmp_path, "exec", given=GIVEN)
    assert status == 2
    assert "needs a command" in said

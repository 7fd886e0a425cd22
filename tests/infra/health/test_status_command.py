import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from infra.health.component import Component, Status
from infra.health.monitor import Health
from infra.health.showing import as_view
from infra.health.status_command import status
from infra.process_name import ProcessName
from infra.pulse import Pulse
from infra.settings import Settings
from tests.waiting import eventually

Ask = Callable[..., Result]


@pytest.fixture
def ask(platform: Settings, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setenv("LEDGERQ_BROKER_URL", platform.broker_url.get_secret_value())
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", platform.database_url.get_secret_value())
    return lambda *options: CliRunner().invoke(status, options)


def test_without_processes_every_line_says_who_is_missing_and_the_status_is_1(ask: Ask) -> None:
    result = ask()
    assert result.exit_code == 1, result.output
    assert result.output.startswith("the platform is unhealthy\n● broker")
    assert "✖ scheduler   no scheduler works" in result.output


def test_json_is_what_the_monitor_answers(ask: Ask) -> None:
    told = json.loads(ask("--json").output)
    assert told["status"] == "unhealthy"
    assert told["components"]["database"]["status"] == "healthy"


def test_a_process_with_a_pulse_is_seen(ask: Ask, platform: Settings, tmp_path: Path) -> None:
    own = platform.model_copy(update={"state_dir": tmp_path, "pulse_interval_seconds": 0.1})
    with Pulse(own, ProcessName.SCHEDULER) as pulse:

        def seen() -> bool:
            pulse.beat(ready=True, state={"leads": True}.copy)
            scheduler = json.loads(ask("--json").output)["components"]["scheduler"]
            return bool(scheduler["status"] == "healthy" and scheduler["processes"][pulse.name]["leads"])

        eventually(seen)


@pytest.mark.parametrize(("given", "expected"), [({"broker": Status.HEALTHY}, 0), ({"broker": Status.DEGRADED}, 1)])
def test_the_exit_status_is_0_only_if_all_is_well(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, given: dict[str, Status], expected: int
) -> None:
    health = Health({name: Component(how) for name, how in given.items()})
    monkeypatch.setattr("infra.health.monitor.Monitor.health", lambda _self: health)
    assert ask("--json").exit_code == expected


def test_watching_needs_a_terminal(ask: Ask) -> None:
    result = ask("--watch")
    assert result.exit_code == 2
    assert "--watch needs a terminal" in result.output


def test_on_a_narrow_terminal_nothing_is_cut_off() -> None:
    active = [{"task": "send_notice", "run_id": "0123456789", "since": "2024-01-01T00:00:00+00:00"}]
    celery = Component(
        Status.DEGRADED, "low@a-long-host-name:4711 hangs",
        {"workers_count": 3, "active_tasks": 1, "workers": {"high@host:1": {"active": active}}},
    )  # fmt: skip
    console = Console(width=30, force_terminal=True, record=True, file=io.StringIO())
    console.print(as_view(Health({"celery": celery})))
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 30
    together = "".join(line.rstrip() for line in text.splitlines())
    for word in ("degraded", "a-long-host-name:4711", "3 workers", "send_notice", "0123456789"):
        assert word in together


@pytest.mark.system
def test_watching_shows_the_platform_on_a_terminal_until_ctrl_c(platform: Settings, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "LEDGERQ_BROKER_URL": platform.broker_url.get_secret_value(),
        "LEDGERQ_DATABASE_URL": platform.database_url.get_secret_value(),
        "LEDGERQ_STATE_DIR": str(tmp_path),
        "LEDGERQ_MONITOR_INTERVAL_SECONDS": "0.1",
        "TERM": "xterm",
        "COLUMNS": "50",
        "LINES": "40",
    }
    command = (sys.executable, "-m", "infra.cli", "status", "--watch")
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as watching:
        os.close(theirs)
        shown = b""
        while shown.count(b"the platform is") < 3:  # it is drawn again and again
            shown += os.read(ours, 65536)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 1
    os.close(ours)
    assert "✖ celery" in shown.decode(errors="replace")

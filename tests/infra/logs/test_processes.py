"""What the real processes write when logins are refused: JSON on standard output, and no password in any form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import pytest
from pydantic import SecretStr

from infra.settings import Settings
from tests.infra.databases import fresh_database
from tests.tasks.processes import Process
from tests.waiting import eventually

pytestmark = pytest.mark.system

ODD = "p@ss:w/o%rd?#é +"
COMMANDS = ("ingest", "dispatch", "projector", "scheduler", "worker --tier low", "monitor")


def wrong(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    netloc = f"{parts.username}:{quote(ODD, safe='')}@{parts.hostname}:{parts.port}"
    return SecretStr(parts._replace(netloc=netloc).geturl())


def test_a_refused_login_gives_no_password_away_in_any_process(platform: Settings, tmp_path: Path) -> None:
    refused = platform.model_copy(
        update={"broker_url": wrong(platform.broker_url), "database_url": wrong(platform.database_url)}
    )
    secrets = {"LEDGERQ_SEAL_KEY": f"{ODD}{ODD}", "LEDGERQ_SMTP_URL": f"smtp://me:{quote(ODD, safe='')}@h:25"}
    quiet = {"LEDGERQ_STATE_DIR": str(tmp_path), "LEDGERQ_MONITOR_PORT": "0", "LEDGERQ_LOG_LEVEL": "debug"}
    with ExitStack() as stack:
        started = {
            command: stack.enter_context(Process(command, refused, log=tmp_path / command, **secrets, **quiet))
            for command in COMMANDS
        }
        for command, process in started.items():
            expected = "monitor listens" if command == "monitor" else "authentication failed"
            eventually(lambda said=expected, by=process: said in by.log, seconds=60)
        eventually(lambda: "ACCESS_REFUSED" in started["worker --tier low"].log, seconds=60)
        told = {command: process.log for command, process in started.items()}
    forms = (
        ODD,
        quote(ODD, safe=""),
        quote(ODD),
        quote_plus(ODD),
        json.dumps(ODD)[1:-1],
        ODD.encode().decode("latin-1"),
    )
    assert [(command, form) for command, log in told.items() for form in forms if form in log] == []
    for log in told.values():
        assert all(json.loads(line)["level"] for line in log.splitlines())


def test_an_error_that_ends_a_process_is_a_line_on_standard_output_like_all_others(
    servers: Settings, tmp_path: Path
) -> None:
    with fresh_database(servers) as never_migrated:
        url = never_migrated.database_url.get_secret_value()
        ended = subprocess.run(
            (sys.executable, "-m", "infra.cli", "scheduler"),
            env={**os.environ, "LEDGERQ_DATABASE_URL": url, "LEDGERQ_STATE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 1
    assert (lines[-1]["level"], "UndefinedTable" in lines[-1]["exception"]) == ("critical", True)
    assert ended.stderr == ""

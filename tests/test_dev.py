"""./dev says what it can do, and refuses what it cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

DEV = Path(__file__).parents[1] / "dev"


def dev(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEV, *arguments],
        check=False,
        cwd="/",
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "a command is missing"),
        (["frobnicate"], "no command 'frobnicate'"),
        (["exec"], "exec needs a command"),
        (["exec", "--docker"], "exec needs a command"),
        (["lint", "infra"], "lint takes no arguments"),
        (["services", "now"], "services takes no arguments"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_usage_and_status_2(arguments: list[str], reason: str) -> None:
    done = dev(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"dev: {reason}\n" in done.stderr
    assert "usage: ./dev COMMAND" in done.stderr


@pytest.mark.parametrize("asking", ["help", "-h", "--help"])
def test_help_is_no_error(asking: str) -> None:
    done = dev(asking)
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("run", "test", "lint", "exec", "services", "ledgerq", "setup", "lock", "--docker"):
        assert command in done.stdout


def test_a_python_that_will_not_do_is_named(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "dev").symlink_to(DEV)
    done = subprocess.run(
        [checkout / "dev", "setup"],
        check=False,
        env={**os.environ, "LEDGERQ_DEV_PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "LEDGERQ_DEV_PYTHON=/bin/false is not a Python 3.11 or later" in done.stderr


def test_dev_is_plain_posix_shell() -> None:
    assert DEV.read_text().startswith("#!/bin/sh\n")
    checked = subprocess.run(["sh", "-n", DEV], check=False, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
